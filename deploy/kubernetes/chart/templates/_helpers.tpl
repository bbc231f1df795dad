{{- define "sms.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 52 characters, so that every resource name derived from it is a valid DNS label. */}}
{{- define "sms.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- .Values.fullnameOverride | default $full | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "sms.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sms.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "sms.labels" -}}
{{ include "sms.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "sms.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "sms.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "sms.image" -}}
{{- with .Values.image -}}
{{ with .registry }}{{ . }}/{{ end }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "sms.scheme" -}}
{{ ternary "HTTPS" "HTTP" .Values.web.tls }}
{{- end }}

{{/* The prefix of all paths: the exporter derives it from the same two options. */}}
{{- define "sms.prefix" -}}
{{- $web := (.Values.config | default dict).web | default dict }}
{{- $path := get (urlParse (get $web "external_url" | default "")) "path" }}
{{- if not (kindIs "invalid" $web.route_prefix) }}{{ $path = toString $web.route_prefix }}{{ end }}
{{- regexReplaceAll "/+$" $path "" }}
{{- end }}

{{- define "sms.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{/* The namespace of an object, if it is not that of the release. */}}
{{- define "sms.inNamespace" -}}
{{- with .given | default .root.Values.namespaceOverride }}
namespace: {{ . | quote }}
{{- end }}
{{- end }}

{{/* A probe: the values override the defaults; another handler replaces the HTTP request. */}}
{{- define "sms.probe" -}}
{{- $http := dict "httpGet" (dict "path" (printf "%s%s" (include "sms.prefix" .root) .path) "port" "http" "scheme" (include "sms.scheme" .root)) }}
{{- if or .given.exec .given.tcpSocket .given.grpc }}{{ $http = dict }}{{ end }}
{{- toYaml (mergeOverwrite $http (dict "timeoutSeconds" 5) (deepCopy .given)) }}
{{- end }}

{{- define "sms.volumes" -}}
{{- if .Values.config }}
- name: config
  configMap: {name: {{ include "sms.fullname" . | quote }}}
{{- end }}
{{- range $index, $name := .Values.secrets }}
- name: secret-{{ $index }}
  secret: {secretName: {{ $name | quote }}, defaultMode: 0440}
{{- end }}
{{- with .Values.web.existingSecret }}
- name: web
  secret: {secretName: {{ . | quote }}, defaultMode: 0440}
{{- end }}
{{- if .Values.persistence.enabled }}
- name: state
  persistentVolumeClaim: {claimName: {{ .Values.persistence.existingClaim | default (include "sms.fullname" .) | quote }}}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "sms.volumeMounts" -}}
{{- if .Values.config }}
- {name: config, mountPath: /etc/sms-exporter/config, readOnly: true}
{{- end }}
{{- range $index, $name := .Values.secrets }}
- {name: secret-{{ $index }}, mountPath: {{ printf "/etc/sms-exporter/secrets/%s" $name | quote }}, readOnly: true}
{{- end }}
{{- if .Values.web.existingSecret }}
- {name: web, mountPath: /etc/sms-exporter/web, readOnly: true}
{{- end }}
{{- if .Values.persistence.enabled }}
- {name: state, mountPath: /var/lib/sms-exporter}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The rules of a group, with the settings of prometheusRule. tools/rules.py does the same for plain files. */}}
{{- define "sms.rules" -}}
{{- $root := .root }}
{{- $settings := $root.Values.prometheusRule }}
{{- $rules := list }}
{{- range $rule := .group.rules }}
  {{- if $rule.alert }}
    {{- $own := get $settings.alerts $rule.alert | default dict }}
    {{- $labels := deepCopy $rule.labels }}
    {{- if $settings.namespaceLabel }}{{ $_ := set $labels "namespace" ($settings.namespace | default (include "sms.namespace" $root)) }}{{ end }}
    {{- $labels = mergeOverwrite $labels $settings.alertLabels ($own.labels | default dict) }}
    {{- with $own.severity }}{{ $_ := set $labels "severity" . }}{{ end }}
    {{- $_ := set $rule "labels" $labels }}
    {{- with $own.for }}{{ $_ := set $rule "for" . }}{{ end }}
    {{- with $own.keepFiringFor }}{{ $_ := set $rule "keep_firing_for" . }}{{ end }}
    {{- with $settings.runbookUrl }}{{ $_ := set $rule.annotations "runbook_url" (printf "%s/%s.md" (trimSuffix "/" .) $rule.alert) }}{{ end }}
    {{- with $settings.grafanaUrl }}{{ $_ := set $rule.annotations "dashboard_url" (printf "%s%s" (trimSuffix "/" .) $rule.annotations.dashboard_url) }}{{ end }}
    {{- if ne (toString $own.enabled) "false" }}{{ $rules = append $rules $rule }}{{ end }}
  {{- else }}
    {{- if eq $rule.record "sms:max_sync_lag_seconds" }}{{ $_ := set $rule "expr" (printf "vector(%d)" (int64 $settings.maxSyncLagSeconds)) }}{{ end }}
    {{- $rules = append $rules $rule }}
  {{- end }}
{{- end }}
{{- if eq .group.name "sms-deadline" }}
  {{- range $settings.deadlines }}
    {{- $labels := dict "account" .account }}
    {{- with .enterpriseProjectId }}{{ $_ := set $labels "enterprise_project_id" . }}{{ end }}
    {{- $time := toDate "2006-01-02T15:04:05Z07:00" .time }}
    {{- if $time.IsZero }}
      {{- fail (printf "prometheusRule.deadlines: there is no time %q: write a time such as 2030-01-31T06:00:00Z" .time) }}
    {{- end }}
    {{- $expr := printf "vector(%s)" (unixEpoch $time) }}
    {{- $rules = append $rules (dict "record" "sms:migration_deadline_timestamp_seconds" "expr" $expr "labels" $labels) }}
  {{- end }}
{{- end }}
{{- toYaml $rules }}
{{- end }}
