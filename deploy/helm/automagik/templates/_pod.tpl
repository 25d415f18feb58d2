{{- /* The name of each setting that is a secret, with where it is. */ -}}
{{- define "automagik.secrets" -}}
DATABASE_URL: {{ toJson .Values.secrets.databaseUrl }}
REDIS_URL: {{ toJson .Values.secrets.redisUrl }}
AUTOMAGIK_SECRET_KEY: {{ toJson .Values.secrets.secretKey }}
{{- if .Values.secrets.langflowApiKey.name }}
LANGFLOW_API_KEY: {{ toJson .Values.secrets.langflowApiKey }}
{{- end }}
{{- end -}}

{{- define "automagik.env" -}}
{{- range $name, $from := include "automagik.secrets" . | fromYaml }}
{{- if $.Values.secrets.asFiles }}
- name: {{ $name }}_FILE
  value: /etc/automagik/secrets/{{ $name }}
{{- else }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.name }}
      key: {{ $from.key }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ include "automagik.plain" $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* What all containers have: .root; .args; .resources; .env (more of it, as text). */ -}}
{{- define "automagik.container" -}}
image: {{ include "automagik.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .args }}
env:
  {{- include "automagik.env" .root | trim | nindent 2 }}
  {{- with .env }}
  {{- . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml .resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if .root.Values.secrets.asFiles }}
  - name: secrets
    mountPath: /etc/automagik/secrets
    readOnly: true
  {{- end }}
{{- end -}}

{{- /* What all pods have. */ -}}
{{- define "automagik.pod" -}}
automountServiceAccountToken: false
# With the addresses of Services come variables whose names begin like settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with .root.Values.pod.runAsUser }}
  runAsUser: {{ include "automagik.plain" . }}
  runAsGroup: {{ include "automagik.plain" . }}
  fsGroup: {{ include "automagik.plain" . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: 256Mi
  {{- if .root.Values.secrets.asFiles }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- range $name, $from := include "automagik.secrets" .root | fromYaml }}
        - secret:
            name: {{ $from.name }}
            items:
              - key: {{ $from.key }}
                path: {{ $name }}
        {{- end }}
  {{- end }}
{{- end -}}

{{- define "automagik.podMeta" -}}
labels:
  {{- include "automagik.labels" . | nindent 2 }}
  {{- with .root.Values.pod.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.pod.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "automagik.spread" -}}
{{- $keys := list "kubernetes.io/hostname" -}}
{{- if .root.Values.pod.spreadOverZones -}}
{{- $keys = append $keys "topology.kubernetes.io/zone" -}}
{{- end -}}
topologySpreadConstraints:
  {{- range $key := $keys }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    # A cluster of one node is a cluster, too.
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "automagik.selectorLabels" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{- /*
Asked in the pod itself, by a command that looks at its row. A pod is started again when it is silent
(exit 1), not when PostgreSQL is away (exit 5): its runs wait for PostgreSQL, too.
*/ -}}
{{- define "automagik.probes" -}}
startupProbe:
  exec:
    command: [automagik, {{ . }}, check]
  periodSeconds: 5
  timeoutSeconds: 15
  failureThreshold: 60
livenessProbe:
  exec:
    command: [sh, -c, "automagik {{ . }} check; test $? -ne 1"]
  periodSeconds: 60
  timeoutSeconds: 15
  failureThreshold: 3
{{- end -}}
