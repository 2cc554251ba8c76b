{{/* The namespace is fixed: admission, its exclusions and its policies name it. */}}
{{- define "forewarm.check" -}}
{{- if ne .Release.Namespace "forewarm-system" -}}
{{- fail (printf "there is one Forewarm in a cluster, in the namespace forewarm-system, and this is %q: install with --namespace forewarm-system --create-namespace" .Release.Namespace) -}}
{{- end -}}
{{- if and (eq .Values.certificate.mode "Files") (not .Values.certificate.secretName) -}}
{{- fail "certificate.mode is Files: write the name of a Secret with tls.crt, tls.key and ca.crt into certificate.secretName" -}}
{{- end -}}
{{- end -}}

{{/* What is said where one of the links of files/ leads nowhere: not every copy of a folder follows links. Takes the path. */}}
{{- define "forewarm.missing" -}}
{{ . }} is missing in this copy of the chart: install from a checkout, or from the archive that helm package makes of one
{{- end -}}

{{/* A file of manifests, or none is installed. Takes (list context path). */}}
{{- define "forewarm.file" -}}
{{- (index . 0).Files.Get (index . 1) | required (include "forewarm.missing" (index . 1)) -}}
{{- end -}}

{{/* Labels that tell the parts apart. Takes (list context name). */}}
{{- define "forewarm.labels" -}}
{{- $context := index . 0 -}}
{{ include "forewarm.selector" . }}
app.kubernetes.io/part-of: forewarm
app.kubernetes.io/version: {{ $context.Chart.AppVersion | quote }}
{{- end -}}

{{/* Labels by which pods are selected, which never change. Takes (list context name). */}}
{{- define "forewarm.selector" -}}
app.kubernetes.io/name: forewarm-{{ index . 1 }}
{{- end -}}

{{/* The image of a part. Takes (list context name override). */}}
{{- define "forewarm.image" -}}
{{- $image := (index . 0).Values.image -}}
{{- index . 2 | default (printf "%s/%s:%s" $image.registry (index . 1) ($image.tag | default (index . 0).Chart.AppVersion)) -}}
{{- end -}}

{{/* A configuration file with one section, over what the chart sets. Takes (list section set over). */}}
{{- define "forewarm.config" -}}
apiVersion: config.forewarm.dev/v1alpha1
kind: Config
{{ index . 0 }}: {{- mustMergeOverwrite (dict) (index . 1) (index . 2) | toYaml | nindent 2 }}
{{- end -}}

{{/* Where a part sends spans, as the fields of its section; none where nobody has asked. Takes the context. */}}
{{- define "forewarm.tracing" -}}
{{- with .Values.tracing }}{{ if .endpoint }}
tracing: {endpoint: {{ .endpoint | quote }}, samplingRatePerMillion: {{ .samplingRatePerMillion | int }}}
{{- end }}{{ end -}}
{{- end -}}

{{/* What Pod Security restricted asks of a pod, and more. */}}
{{- define "forewarm.podSecurity" -}}
securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
{{- end -}}

{{/* What it asks of a container. */}}
{{- define "forewarm.containerSecurity" -}}
securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
{{- end -}}

{{/* What a container may use; Go collects garbage in time for its limit of memory. Takes the resources. */}}
{{- define "forewarm.resources" -}}
resources: {{- toYaml . | nindent 2 }}
{{- if dig "limits" "memory" "" . }}
env: [{name: GOMEMLIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory}}}]
{{- end }}
{{- end -}}

{{/* What a pod and its one container have in common whatever they run. Takes (list context name values). */}}
{{- define "forewarm.place" -}}
{{- with (index . 2).priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with (index . 2).nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 2).tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 0).Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Replicas on different nodes and in different zones, where there are any. Takes (list context name). */}}
{{- define "forewarm.spread" -}}
topologySpreadConstraints:
{{- range (list "kubernetes.io/hostname" "topology.kubernetes.io/zone") }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector: {matchLabels: { {{- include "forewarm.selector" $ -}} }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{/* Eviction takes one replica at a time; one that is not ready holds up no drain. Takes (list context name). */}}
{{- define "forewarm.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: forewarm-{{ index . 1 }}
  namespace: forewarm-system
  labels: {{- include "forewarm.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector: {matchLabels: { {{- include "forewarm.selector" . -}} }}
{{- end -}}

{{/* Probes of a part that serves health on a port, by name. Takes the port. */}}
{{- define "forewarm.probes" -}}
livenessProbe: {httpGet: {path: /healthz, port: {{ . }}}, periodSeconds: 10, failureThreshold: 6}
readinessProbe: {httpGet: {path: /readyz, port: {{ . }}}, periodSeconds: 2, failureThreshold: 1}
{{- end -}}

{{/* What the scheduler is told of the extender. manifests/scheduler has it as a file for your own scheduler. */}}
{{- define "forewarm.extenders" -}}
{{- $address := .Values.extender.config.address | default "127.0.0.1:8888" -}}
{{- if or .Values.extender.config.serving (hasPrefix ":" $address) -}}
{{- fail "extender.mode is SecondScheduler, whose kube-scheduler asks the extender in its own pod by plain HTTP: leave extender.config.serving out, and write extender.config.address with a host, as 127.0.0.1:8888" -}}
{{- end -}}
extenders:
- urlPrefix: http://{{ $address }}
  filterVerb: filter
  prioritizeVerb: prioritize
  preemptVerb: preempt
  weight: 5
  httpTimeout: 300ms
  nodeCacheCapable: true
  ignorable: true
  managedResources:
  {{- range concat (include "forewarm.gpus" . | fromYamlArray) (default (list) .Values.extender.managedResources) | uniq }}
  - name: {{ . }}
  {{- end }}
  - name: forewarm.dev/managed
    ignoredByScheduler: true
{{- end -}}

{{/* Whole and shared GPUs of all vendors, and the MIG profiles of A30, A100, H100, H200 and B200. */}}
{{- define "forewarm.gpus" -}}
[nvidia.com/gpu, nvidia.com/gpu.shared, amd.com/gpu, gpu.intel.com/i915, gpu.intel.com/xe
{{- range list "1g.5gb" "1g.5gb.me" "1g.6gb" "1g.6gb.me" "1g.10gb" "1g.10gb.me" "1g.18gb" "1g.18gb.me" "1g.20gb" "1g.23gb" "1g.23gb.me" "1g.35gb" "1g.45gb"
  "2g.10gb" "2g.12gb" "2g.12gb.me" "2g.20gb" "2g.35gb" "2g.45gb" "3g.20gb" "3g.40gb" "3g.71gb" "3g.90gb" "4g.20gb" "4g.24gb" "4g.40gb" "4g.71gb" "4g.90gb"
  "7g.40gb" "7g.80gb" "7g.141gb" "7g.180gb" }}, nvidia.com/mig-{{ . }}{{ end }}]
{{- end -}}

{{/* The configuration file of the second scheduler. */}}
{{- define "forewarm.second" -}}
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection:
  leaderElect: true
  resourceNamespace: forewarm-system
  resourceName: forewarm-scheduler
profiles:
- schedulerName: forewarm-scheduler
{{ include "forewarm.extenders" . }}
{{- end -}}

{{/* Where every part may go: to API servers and to DNS. */}}
{{- define "forewarm.egress" -}}
- ports: [{{ range $i, $port := .Values.networkPolicy.apiServerPorts }}{{ if $i }}, {{ end }}{port: {{ $port }}}{{ end }}]
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
  to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
{{- end -}}

{{/* Annotations of what exists only while a release is uninstalled. Takes the weight. */}}
{{- define "forewarm.hook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
