"""AutoMagik runs LangFlow flows on time and to the end."""

__version__ = "0.1.0"
