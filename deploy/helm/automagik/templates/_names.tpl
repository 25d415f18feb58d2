{{- define "automagik.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-automagik" .Release.Name) (contains "automagik" .Release.Name) -}}
{{- end -}}
{{- /* A pod's name is its hostname, by which its beat or worker is known: it must stay whole below 63 letters. */ -}}
{{- if gt (len $name) 26 -}}
{{- fail (printf "The name %q is longer than 26 letters: set fullnameOverride to a shorter one." $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "automagik.selectorLabels" -}}
app.kubernetes.io/name: automagik
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
automagik/pool: {{ . }}
{{- end }}
{{- end -}}

{{- define "automagik.labels" -}}
{{ include "automagik.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "automagik.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "automagik.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "automagik.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- /* Helm reads numbers as floats: 33554432 would become 3.3554432e+07. */ -}}
{{- define "automagik.plain" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}
