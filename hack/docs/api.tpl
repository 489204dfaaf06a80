{{- define "gvList" -}}
<!-- Written by `make docs` from api/v1. Do not edit. -->

# API reference
{{ range . }}{{ template "gvDetails" . }}{{ end }}
{{- end -}}

{{- define "gvDetails" }}
## {{ .GroupVersionString }}

{{ .Doc | trim }}
{{ range .SortedTypes }}{{ if .GVK }}{{ template "type" . }}{{ end }}{{ end }}
{{- range .SortedTypes }}{{ if not .GVK }}{{ template "type" . }}{{ end }}{{ end }}
{{- end -}}

{{- define "type" }}
{{- if markdownShouldRenderType . }}
### {{ .Name }}

{{ .Doc | trim }}
{{ if .IsAlias }}
Underlying type: {{ markdownRenderTypeLink .UnderlyingType }}.
{{- template "bounds" .Validation }}
{{ end }}
{{- if .References }}
Appears in: {{ range $i, $reference := .SortedReferences }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $reference }}{{ end }}.
{{ end }}
{{- if .Members }}
| Field | Type | Description |
| --- | --- | --- |
{{- if .GVK }}
| `apiVersion` | string | `{{ .GVK.Group }}/{{ .GVK.Version }}` |
| `kind` | string | `{{ .GVK.Kind }}` |
{{- end }}
{{- $kind := .GVK }}
{{- range .Members }}
| `{{ .Name }}` | {{ markdownRenderType .Type }} | {{ if and $kind (eq .Name "metadata") }}Standard object metadata.{{ else }}{{ .Doc | replace "\n" " " | markdownRenderFieldDoc }}{{ template "bounds" .Validation }}{{ with .Default | nospace }}{{ if ne . "{}" }} **Default:** `{{ . }}`.{{ end }}{{ end }}{{ end }} |
{{- end }}
{{ end }}
{{- if .EnumValues }}
| Value | Meaning |
| --- | --- |
{{- range .EnumValues }}
| `{{ .Name }}` | {{ .Doc | trim | replace "\n" " " | markdownRenderFieldDoc }} |
{{- end }}
{{ end }}
{{- end }}
{{- end -}}

{{- /* Patterns and CEL rules are left out: what they ask is in the description. */ -}}
{{- define "bounds" }}
{{- range . }}
{{- if hasPrefix "Required" . }} **Required.**{{ end }}
{{- if regexMatch "^(Minimum|Maximum|MinLength|MaxLength|MinItems|MaxItems|MaxProperties|Enum):" . }} **{{ regexReplaceAll ":.*" . "" }}:** `{{ regexReplaceAll "^[^:]*: *" . "" }}`.{{ end }}
{{- end }}
{{- end -}}
