"""What AutoMagik costs and how fast it is, beside its peers: one command per measure."""
