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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DNSOptions define how DNS names among the endpoints are resolved.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minTTL) || !has(self.maxTTL) || duration(self.minTTL) <= duration(self.maxTTL)",message="dns.minTTL must not be longer than dns.maxTTL (5m if left out): shorten the one or lengthen the other"
// +kubebuilder:validation:XValidation:rule="!has(self.keepFor) || !has(self.publish) || self.publish != 'FQDN'",message="dns.keepFor keeps addresses, and publish: FQDN publishes names: remove one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.nameservers) || !has(self.publish) || self.publish != 'FQDN'",message="dns.nameservers resolves names here, and publish: FQDN lets consumers do that: remove one of them"
type DNSOptions struct {
	// minTTL is the minimum time between two lookups of a name, however short the TTL of its
	// records, from 1s to 1h; the default is 5s.
	// +optional
	// +kubebuilder:default="5s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="must be a duration from 1s to 1h, such as 5s"
	MinTTL *metav1.Duration `json:"minTTL,omitempty"`

	// maxTTL is the maximum time between two lookups of a name, however long the TTL of its
	// records, from 1s to 24h; the default is 5m.
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="must be a duration from 1s to 24h, such as 5m"
	MaxTTL *metav1.Duration `json:"maxTTL,omitempty"`

	// keepFor is how long an address of a name stays an endpoint that is missing from the answers,
	// as long as its probes pass, from 1s to 24h. It is for names whose answers hold another part
	// of their addresses each time, such as those of object stores and content delivery networks.
	// By default, an address leaves with the first answer that lacks it. The answers of name
	// servers that fail do not count.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="must be a duration from 1s to 24h, such as 10m"
	KeepFor *metav1.Duration `json:"keepFor,omitempty"`

	// nameservers are asked for the names of the endpoints instead of the operator's own name
	// servers: IP addresses with or without a port, as in 192.0.2.53 or [2001:db8::53]:5353, at
	// most 3. The operator must be allowed to probe them with the scheme dns. Names in probe URLs
	// and redirects are not resolved by them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	Nameservers []Nameserver `json:"nameservers,omitempty"`

	// ipFamilies are the queried address families: IPv4 for A records, IPv6 for AAAA records. They
	// default to the Service's.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=IPv4;IPv6
	IPFamilies []corev1.IPFamily `json:"ipFamilies,omitempty"`

	// publish defines what the EndpointSlices contain. Resolved, the default, publishes the
	// addresses of names. FQDN publishes the names themselves, in EndpointSlices of the address
	// type FQDN, for consumers that resolve them: kube-proxy and most others do not read these,
	// and Kubernetes has deprecated the type. A name is then one endpoint, probed at one of its
	// current addresses.
	// +optional
	// +kubebuilder:default=Resolved
	// +kubebuilder:validation:Enum=Resolved;FQDN
	Publish NamePublication `json:"publish,omitempty"`
}

// Nameserver is the address of a name server.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=53
// +kubebuilder:validation:XValidation:rule="isIP(self) || self.matches('^[0-9.]+:[1-9][0-9]{0,4}$') && isIP(self.split(':')[0]) && int(self.split(':')[1]) <= 65535 || self.matches('^[[][0-9A-Fa-f:.]+[]]:[1-9][0-9]{0,4}$') && isIP(self.substring(1, self.indexOf(']'))) && int(self.substring(self.lastIndexOf(':') + 1)) <= 65535",message="must be an IP address, or one with a port, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53"
type Nameserver string

// NamePublication defines what is published for a DNS name.
type NamePublication string

// Forms in which DNS names are published.
const (
	// PublishResolved publishes the addresses of a name.
	PublishResolved NamePublication = "Resolved"
	// PublishFQDN publishes the name.
	PublishFQDN NamePublication = "FQDN"
)
