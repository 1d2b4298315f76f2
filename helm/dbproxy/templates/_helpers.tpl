{{- define "dbproxy.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if .Values.nameOverride -}}
{{- printf "%s-%s" .Release.Name .Values.nameOverride | trunc 53 | trimSuffix "-" -}}
{{- else if hasSuffix "operator" .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-operator" (.Release.Name | trunc 44 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "dbproxy.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "dbproxy.name" .) -}}
{{- end -}}

{{- define "dbproxy.lease" -}}
dbproxy-operator{{ with .Values.operatorClass }}.{{ . }}{{ end }}
{{- end -}}

{{- define "dbproxy.selector" -}}
app.kubernetes.io/name: dbproxy-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dbproxy.labels" -}}
{{ include "dbproxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* An image by its digest where there is one, else by its tag. */}}
{{- define "dbproxy.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .version }}
{{- end -}}
{{- end -}}

{{- /* What the operator may do in the namespaces it serves. It holds every right that it hands on to proxy pods
(reading Secrets and ConfigMaps, patching the status of target groups), so it needs neither `escalate` nor `bind`. */}}
{{- define "dbproxy.rules" -}}
- apiGroups: [dbproxy.dev]
  resources: [dbproxies, dbproxytargetgroups, dbproxyendpoints]
  verbs: [get, list, watch]
- apiGroups: [dbproxy.dev]
  resources: [dbproxies/status, dbproxytargetgroups/status, dbproxyendpoints/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets, configmaps, services, serviceaccounts]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}
