/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package v1

import (
	corev1 "k8s.io/api/core/v1"
)

// TargetServiceReference names the Service that the endpoints belong to.
type TargetServiceReference struct {
	// name of the Service; it defaults to this object's name.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="targetService.name must be the name of a Service: lower-case letters, digits and dashes"
	Name string `json:"name,omitempty"`

	// namespace of the Service; it defaults to this object's namespace. In another namespace, a
	// ReferenceGrant (gateway.networking.k8s.io) must allow ExternalServices of this namespace to
	// refer to the Service.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="targetService.namespace must be the name of a namespace: lower-case letters, digits and dashes"
	Namespace string `json:"namespace,omitempty"`

	// allowSelector lets the Service have a selector, so that it leads to Pods and to external
	// endpoints. Otherwise a Service with a selector is refused.
	// +optional
	AllowSelector bool `json:"allowSelector,omitempty"`
}

// EndpointPort is a port that an endpoint listens on. Patterns validate the names, because the
// estimated cost of CEL rules over all ports of all endpoints would exceed the API server's
// limit.
type EndpointPort struct {
	// name must be the name of a port of the Service. It may be empty if the Service has only one
	// port.
	// +optional
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	Name string `json:"name"`

	// port is the number that the endpoint listens on, from 1 to 65535.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// protocol is TCP, the default, UDP or SCTP.
	// +optional
	// +kubebuilder:default=TCP
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	Protocol corev1.Protocol `json:"protocol,omitempty"`

	// appProtocol is a hint for consumers, such as kubernetes.io/h2c; it defaults to the Service
	// port's.
	// +optional
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	AppProtocol *string `json:"appProtocol,omitempty"`
}

// ServiceTemplate describes the Service that the operator creates.
type ServiceTemplate struct {
	// metadata is added to the Service.
	// +optional
	Metadata ServiceTemplateMetadata `json:"metadata,omitempty,omitzero"`

	// spec is the part of a Service's spec that makes sense without a selector.
	// +required
	Spec ServiceTemplateSpec `json:"spec"`
}

// ServiceTemplateMetadata is added to the Service.
type ServiceTemplateMetadata struct {
	// labels of the Service.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self[k]).hasValue())",message="labels must have qualified names as keys and label values as values"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.matches('^([^/]*[.])?farpoint[.]dev/'))",message="labels under farpoint.dev are reserved"
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations of the Service.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && !format.qualifiedName().validate(k.lowerAscii()).hasValue())",message="annotations must have qualified names as keys"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.matches('^([^/]*[.])?farpoint[.]dev/'))",message="annotations under farpoint.dev are reserved"
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`
}

// ServiceTemplateSpec is the part of a Service's spec that makes sense without a
// selector. The fields mean what they mean in a Service.
//
// +kubebuilder:validation:XValidation:rule="!has(self.sessionAffinityConfig) || (has(self.sessionAffinity) && self.sessionAffinity == 'ClientIP')",message="sessionAffinityConfig needs sessionAffinity: ClientIP"
// +kubebuilder:validation:XValidation:rule="size(self.ports) > 0 || (has(self.clusterIP) && self.clusterIP == 'None')",message="ports may be empty only for a headless Service (clusterIP: None)"
type ServiceTemplateSpec struct {
	// clusterIP is None for a headless Service. By default, the Service gets a cluster IP. To
	// change it later, delete the Service first.
	// +optional
	// +kubebuilder:validation:Enum=None
	ClusterIP string `json:"clusterIP,omitempty"`

	// ports of the Service.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:default={}
	// +kubebuilder:validation:MaxItems=16
	Ports []ServiceTemplatePort `json:"ports"`

	// ipFamilies of the Service; they default to the cluster's preference.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=IPv4;IPv6
	IPFamilies []corev1.IPFamily `json:"ipFamilies,omitempty"`

	// ipFamilyPolicy of the Service; it defaults to the cluster's preference.
	// +optional
	// +kubebuilder:validation:Enum=SingleStack;PreferDualStack;RequireDualStack
	IPFamilyPolicy *corev1.IPFamilyPolicy `json:"ipFamilyPolicy,omitempty"`

	// sessionAffinity of the Service: None, the default, or ClientIP.
	// +optional
	// +kubebuilder:validation:Enum=None;ClientIP
	SessionAffinity corev1.ServiceAffinity `json:"sessionAffinity,omitempty"`

	// sessionAffinityConfig of the Service, only with ClientIP; the default is three hours.
	// +optional
	SessionAffinityConfig *SessionAffinityConfig `json:"sessionAffinityConfig,omitempty"`

	// trafficDistribution of the Service; by default traffic goes to all zones alike.
	// +optional
	// +kubebuilder:validation:Enum=PreferClose;PreferSameZone;PreferSameNode
	TrafficDistribution *string `json:"trafficDistribution,omitempty"`

	// publishNotReadyAddresses makes DNS and proxies treat every endpoint that is neither disabled
	// nor on standby as ready, regardless of its probes.
	// +optional
	PublishNotReadyAddresses bool `json:"publishNotReadyAddresses,omitempty"`
}

// SessionAffinityConfig is how long a client stays with its endpoint.
type SessionAffinityConfig struct {
	// clientIP is the affinity by client address.
	// +required
	ClientIP ClientIPConfig `json:"clientIP"`
}

// ClientIPConfig is how long a client address stays with its endpoint.
type ClientIPConfig struct {
	// timeoutSeconds is how long a client is remembered after its last connection, up to a day.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	TimeoutSeconds int32 `json:"timeoutSeconds"`
}

// ServiceTemplatePort is a port of the Service.
type ServiceTemplatePort struct {
	// name of the port; it may be empty if there is only one.
	// +optional
	// +kubebuilder:default=""
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	Name string `json:"name"`

	// port that clients use.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// targetPort is the endpoints' port if neither they nor spec.ports set one; it defaults to
	// port.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	TargetPort *int32 `json:"targetPort,omitempty"`

	// protocol is TCP, the default, UDP or SCTP.
	// +optional
	// +kubebuilder:default=TCP
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	Protocol corev1.Protocol `json:"protocol,omitempty"`

	// appProtocol is a hint for consumers, such as kubernetes.io/h2c.
	// +optional
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	AppProtocol *string `json:"appProtocol,omitempty"`
}
