{{/* Names and labels. Names that are unique in the cluster carry the namespace of the release. */}}

{{- define "serin.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "serin.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "serin.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "serin.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "serin.fullname" .) -}}
{{- end -}}

{{- define "serin.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "serin.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "serin.selectorLabels" -}}
app.kubernetes.io/name: {{ include "serin.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "serin.labels" -}}
{{ include "serin.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The name of the Secret with the address of Redis; empty without Redis. */}}
{{- define "serin.redisSecret" -}}
{{- if .Values.redis.existingSecret -}}
{{- .Values.redis.existingSecret -}}
{{- else if .Values.redis.url -}}
{{- printf "%s-redis" (include "serin.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/*
The rules of files/clusterrole.yaml of one kind: `lease` in the namespace of the release, `review` (tokens and
permissions of callers) in the cluster, and `served`, all the rest, where canaries are served.
Takes a dict of `root` and `kind`. The API group is the chosen one; Secrets may be limited to some names.
*/}}
{{- define "serin.rules" -}}
{{- $kind := .kind -}}
{{- $root := .root -}}
{{- $rules := list -}}
{{- range (.root.Files.Get "files/clusterrole.yaml" | fromYaml).rules -}}
{{- $is := "served" -}}
{{- if has "coordination.k8s.io" .apiGroups -}}
{{- $is = "lease" -}}
{{- else if or (has "authentication.k8s.io" .apiGroups) (has "authorization.k8s.io" .apiGroups) -}}
{{- $is = "review" -}}
{{- end -}}
{{- if eq $is $kind -}}
{{- $rule := . -}}
{{- if has "serin.dev" .apiGroups -}}
{{- $rule = merge (dict "apiGroups" (list $root.Values.apiGroup)) . -}}
{{- else if and (has "secrets" .resources) $root.Values.rbac.secretNames -}}
{{- $rule = merge (dict "resourceNames" $root.Values.rbac.secretNames) . -}}
{{- end -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules -}}
{{- end -}}

{{- define "serin.subject" -}}
kind: ServiceAccount
name: {{ include "serin.serviceAccount" . }}
namespace: {{ .Release.Namespace }}
{{- end -}}
