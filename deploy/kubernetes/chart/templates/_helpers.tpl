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
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "sms.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "sms.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "sms.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "sms.scheme" -}}
{{ ternary "HTTPS" "HTTP" .Values.web.tls }}
{{- end }}

{{/* A probe: the values override the defaults; another handler replaces the HTTP request. */}}
{{- define "sms.probe" -}}
{{- $http := dict "httpGet" (dict "path" .path "port" "http" "scheme" (include "sms.scheme" .root)) }}
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
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
