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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ExternalServicePolicy limits the ExternalServices of some namespaces: where their endpoints
// may be, where and how often they may be probed, and how many there may be. All policies that
// select a namespace apply; without any, only the operator's flags apply. A policy never allows
// what the operator's flags or its defaults refuse.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=extsvcpol,categories=farpoint
// +kubebuilder:printcolumn:name="Namespaces",type=integer,JSONPath=`.status.namespaces`
// +kubebuilder:printcolumn:name="ExternalServices",type=integer,JSONPath=`.status.externalServices`
// +kubebuilder:printcolumn:name="Min Interval",type=string,JSONPath=`.spec.minInterval`
// +kubebuilder:printcolumn:name="Max Endpoints",type=integer,JSONPath=`.spec.maxEndpoints`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ExternalServicePolicy struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec defines what is allowed.
	// +required
	Spec ExternalServicePolicySpec `json:"spec"`

	// status is the observed state.
	// +optional
	Status ExternalServicePolicyStatus `json:"status,omitempty"`
}

// ExternalServicePolicyList is a list of ExternalServicePolicies.
//
// +kubebuilder:object:root=true
type ExternalServicePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ExternalServicePolicy `json:"items"`
}

// ExternalServicePolicySpec defines what is allowed. A list of allowed values excludes
// everything else; an omitted list allows everything.
//
// +kubebuilder:validation:XValidation:rule="!has(self.allowedCIDRs) || !has(self.deniedCIDRs) || !self.allowedCIDRs.exists(c, c in self.deniedCIDRs)",message="a range is in allowedCIDRs and in deniedCIDRs: remove it from one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.allowedDNSSuffixes) || !has(self.deniedDNSSuffixes) || !self.allowedDNSSuffixes.exists(s, s in self.deniedDNSSuffixes)",message="a name is in allowedDNSSuffixes and in deniedDNSSuffixes: remove it from one of them"
type ExternalServicePolicySpec struct {
	// namespaceSelector selects, by their labels, the namespaces that this policy applies to. An
	// empty selector, {}, selects all.
	// +required
	NamespaceSelector NamespaceSelector `json:"namespaceSelector"`

	// allowedCIDRs are the ranges in which endpoints may have their addresses, and to which probes
	// may connect, including the targets of DNS names and redirects. Of the ranges in allowedCIDRs
	// and deniedCIDRs that contain an address, the longest decides.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	AllowedCIDRs []CIDR `json:"allowedCIDRs,omitempty"`

	// deniedCIDRs are the ranges in which endpoints may not have their addresses, and to which
	// probes may not connect. An IPv6 address that embeds an IPv4 address (NAT64, 6to4 and others)
	// is denied with it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	DeniedCIDRs []CIDR `json:"deniedCIDRs,omitempty"`

	// allowedDNSSuffixes are the DNS names that endpoints and probe URLs may have: each covers
	// itself and all names below it. The addresses of a name must be in allowedCIDRs as well. Of
	// the names in allowedDNSSuffixes and deniedDNSSuffixes that cover a name, the longest
	// decides. Addresses are not names.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	AllowedDNSSuffixes []DNSSuffix `json:"allowedDNSSuffixes,omitempty"`

	// deniedDNSSuffixes are the DNS names that endpoints and probe URLs may not have, including
	// all names below them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	DeniedDNSSuffixes []DNSSuffix `json:"deniedDNSSuffixes,omitempty"`

	// allowedPorts are the ports that endpoints may have and that probes may connect to.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	AllowedPorts []PolicyPort `json:"allowedPorts,omitempty"`

	// deniedPorts are the ports that endpoints may not have and that probes may not connect to.
	// They take precedence over allowedPorts.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	DeniedPorts []PolicyPort `json:"deniedPorts,omitempty"`

	// allowedSchemes are the schemes that probe URLs may have. The default probe counts as tcp.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	AllowedSchemes []ProbeScheme `json:"allowedSchemes,omitempty"`

	// deniedSchemes are the schemes that probe URLs may not have. They take precedence over
	// allowedSchemes.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	DeniedSchemes []ProbeScheme `json:"deniedSchemes,omitempty"`

	// minInterval is the shortest time from one probe of an endpoint to the next, from 500ms to
	// 1h. Endpoints with a shorter healthCheckInterval or fastInterval are probed at this
	// interval. No limit by default.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('500ms') && duration(self) <= duration('1h')",message="must be a duration from 500ms to 1h, such as 10s"
	MinInterval *metav1.Duration `json:"minInterval,omitempty"`

	// maxEndpoints is the maximum number of endpoints in the ExternalServices of one namespace
	// together. The oldest ExternalServices come first, and in each of them the endpoints in their
	// order; the rest is rejected. No limit by default.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxEndpoints *int32 `json:"maxEndpoints,omitempty"`
}

// NamespaceSelector selects namespaces by their labels; all of its requirements must hold.
type NamespaceSelector struct {
	// matchLabels are labels that the namespace must have.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self[k]).hasValue())",message="matchLabels must have qualified names as keys and label values as values"
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`

	// matchExpressions are further requirements for the labels of the namespace.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	MatchExpressions []LabelExpression `json:"matchExpressions,omitempty"`
}

// LabelExpression is a requirement for a label.
//
// +kubebuilder:validation:XValidation:rule="self.operator in ['In','NotIn'] == (has(self.values) && size(self.values) > 0)",message="set values with In and NotIn, and omit them with Exists and DoesNotExist"
type LabelExpression struct {
	// key is the key of the label.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="!format.qualifiedName().validate(self).hasValue()",message="must be the key of a label, such as example.com/team"
	Key string `json:"key"`

	// operator is In or NotIn, with values, or Exists or DoesNotExist. NotIn also holds for a
	// missing label.
	// +required
	Operator LabelOperator `json:"operator"`

	// values are the values for In and NotIn.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:XValidation:rule="!format.labelValue().validate(self).hasValue()",message="must be the value of a label"
	Values []LabelValue `json:"values,omitempty"`
}

// LabelOperator relates a label to values.
//
// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
type LabelOperator string

// CIDR is a range of IPv4 or IPv6 addresses.
//
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a range of addresses such as 10.0.0.0/8 or 2001:db8::/32, with no bits set beyond its length; a single address is a range, too, as in 192.0.2.10/32"
type CIDR string

// DNSSuffix is a DNS name that covers itself and all names below it.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?([.][a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*$`
type DNSSuffix string

// ProbeScheme is the scheme of a probe URL.
//
// +kubebuilder:validation:Enum=dns;grpc;grpcs;http;https;icmp;mysql;postgres;redis;rediss;tcp;tls;udp
type ProbeScheme string

// PolicyPort is a port, or a range of them.
//
// +kubebuilder:validation:XValidation:rule="!has(self.endPort) || self.endPort >= self.port",message="endPort must not be below port"
type PolicyPort struct {
	// port is the port, or the first port of a range.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// endPort is the last port of a range; it defaults to port.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	EndPort *int32 `json:"endPort,omitempty"`
}

// ExternalServicePolicyStatus is the observed state of an ExternalServicePolicy.
type ExternalServicePolicyStatus struct {
	// observedGeneration is the generation of the spec that the status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions has Ready: True once the spec is enforced.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// namespaces counts the selected namespaces.
	// +optional
	Namespaces int32 `json:"namespaces"`

	// externalServices counts the ExternalServices in them.
	// +optional
	ExternalServices int32 `json:"externalServices"`
}
