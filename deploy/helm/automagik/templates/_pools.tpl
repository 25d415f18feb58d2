{{- /* All pools, each with the defaults for what it does not say, under the key `pools`. */ -}}
{{- define "automagik.pools" -}}
{{- $pools := list -}}
{{- $names := dict -}}
{{- range .Values.workers -}}
{{- if hasKey $names .name -}}
{{- fail (printf "Two pools of workers are called %q." .name) -}}
{{- end -}}
{{- $_ := set $names .name true -}}
{{- $pool := deepCopy . -}}
{{- /* Not by `merge`, for which a 0 is nothing. */ -}}
{{- range $key, $value := $.Values.workerDefaults -}}
{{- if not (hasKey $pool $key) -}}
{{- $_ := set $pool $key $value -}}
{{- end -}}
{{- end -}}
{{- $pools = append $pools $pool -}}
{{- end -}}
{{- toJson (dict "pools" $pools) -}}
{{- end -}}

{{- define "automagik.drainSeconds" -}}
{{- $seconds := 20 -}}
{{- if hasKey .Values.settings "AUTOMAGIK_DRAIN_SECONDS" -}}
{{- $seconds = float64 .Values.settings.AUTOMAGIK_DRAIN_SECONDS -}}
{{- end -}}
{{- ceil $seconds | int -}}
{{- end -}}

{{- /*
How many slots a pool should have: what runs, what was sent to it, and one more for work that waits
while nobody takes it. Of a source that is full nothing is sent, so more workers than it admits runs
are not asked for. Every metrics server sees everything, so the largest answer counts.
*/ -}}
{{- define "automagik.demand" -}}
{{- $queues := .pool.queues -}}
{{- if not $queues -}}
{{- $queues = list (get .root.Values.settings "AUTOMAGIK_QUEUE" | default "automagik") -}}
{{- end -}}
{{- $patterns := list -}}
{{- range $queues -}}
{{- $patterns = append $patterns (regexQuoteMeta .) -}}
{{- end -}}
{{- $own := .root.Values.autoscaling.seriesSelector -}}
{{- if not $own -}}
{{- $own = printf "namespace=%q,service=%q" .root.Release.Namespace (printf "%s-metrics" (include "automagik.fullname" .root)) -}}
{{- end -}}
{{- $series := printf "{%s,queue=~%q}" $own (join "|" $patterns) -}}
sum(max by (queue) (automagik_queue_running{{ $series }}))
+ sum(max by (queue) (automagik_queue_deliveries{{ $series }}))
+ (max(automagik_task_oldest_pending_seconds{{ $series }}) > bool 1)
{{- end -}}
