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

// ExternalService lets a Service front endpoints outside the cluster. The operator probes each
// endpoint, and the Service's EndpointSlices show which ones are alive.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=extsvc,categories=farpoint
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=`.status.targetService`
// +kubebuilder:printcolumn:name="Endpoints",type=string,JSONPath=`.status.readyEndpoints`,description="Endpoints that get traffic, of all in the spec"
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.healthCheckURL`,priority=1
// +kubebuilder:printcolumn:name="Interval",type=string,JSONPath=`.spec.healthCheckInterval`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name must have at most 63 characters, because it becomes a label of the EndpointSlices: shorten it"
type ExternalService struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired state.
	// +required
	Spec ExternalServiceSpec `json:"spec"`

	// status is the observed state.
	//
	// An observedGeneration of -1 means that the operator has not seen the object yet: kstatus,
	// and with it Flux, would treat an object without a status as ready.
	// +optional
	// +kubebuilder:default:={observedGeneration:-1}
	Status ExternalServiceStatus `json:"status,omitempty"`
}

// ExternalServiceList is a list of ExternalServices.
//
// +kubebuilder:object:root=true
type ExternalServiceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ExternalService `json:"items"`
}

// ExternalServiceSpec is the desired state of an ExternalService.
//
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.timeout) || !has(self.healthCheckInterval) || duration(self.healthCheck.timeout) <= duration(self.healthCheckInterval)",message="healthCheck.timeout must not be longer than healthCheckInterval: shorten the timeout or lengthen the interval"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.fastInterval) || !has(self.healthCheckInterval) || duration(self.healthCheck.fastInterval) <= duration(self.healthCheckInterval)",message="healthCheck.fastInterval must not be longer than healthCheckInterval: it is the interval used while a change is pending"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || has(self.healthCheck.sendCredentialsToUnverifiedServers) && self.healthCheck.sendCredentialsToUnverifiedServers || !has(self.healthCheck.credentialsSecretRef) && !(has(self.healthCheck.http) && has(self.healthCheck.http.headers) && self.healthCheck.http.headers.exists(h, h.name.lowerAscii() == 'authorization')) || !['http:','grpc:','redis:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="without TLS, credentials go to any server that answers at the address: write https://, grpcs:// or rediss:// in the health check URLs, or set healthCheck.sendCredentialsToUnverifiedServers"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || has(self.healthCheck.sendCredentialsToUnverifiedServers) && self.healthCheck.sendCredentialsToUnverifiedServers || !has(self.healthCheck.credentialsSecretRef) && !(has(self.healthCheck.http) && has(self.healthCheck.http.headers) && self.healthCheck.http.headers.exists(h, h.name.lowerAscii() == 'authorization')) || !has(self.healthCheck.tls) || !has(self.healthCheck.tls.insecureSkipVerify) || !self.healthCheck.tls.insecureSkipVerify || !['https:','grpcs:','rediss:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="with tls.insecureSkipVerify, credentials go to any server that answers at the address: remove it, or set healthCheck.sendCredentialsToUnverifiedServers"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.http) || ['http:','https:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="healthCheck.http is for http:// or https://, which no health check URL begins with: write such a URL, or remove healthCheck.http"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.grpc) || ['grpc:','grpcs:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="healthCheck.grpc is for grpc:// or grpcs://, which no health check URL begins with: write such a URL, or remove healthCheck.grpc"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.dns) || ['dns:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="healthCheck.dns is for dns://, which no health check URL begins with: write such a URL, or remove healthCheck.dns"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.postgres) || ['postgres:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="healthCheck.postgres is for postgres://, which no health check URL begins with: write such a URL, or remove healthCheck.postgres"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.mysql) || ['mysql:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="healthCheck.mysql is for mysql://, which no health check URL begins with: write such a URL, or remove healthCheck.mysql"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.redis) || ['redis:','rediss:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="healthCheck.redis is for redis:// or rediss://, which no health check URL begins with: write such a URL, or remove healthCheck.redis"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.tcp) || !has(self.healthCheckURL) && self.endpoints.exists(e, !has(e.healthCheckURL)) || ['tcp:','tls:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="healthCheck.tcp is for tcp:// and tls://, which no health check URL begins with: write such a URL, or remove healthCheck.tcp"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.tcp) || !has(self.healthCheck.tcp.startTLS) || ['tls:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="healthCheck.tcp.startTLS goes over to TLS, and no health check URL begins with tls://: write tls:// instead of tcp://"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.udp) || ['udp:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="healthCheck.udp is for udp://, which no health check URL begins with: write such a URL, or remove healthCheck.udp"
// +kubebuilder:validation:XValidation:rule="has(self.healthCheck) && has(self.healthCheck.udp) || !['udp:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="udp has no connection, so that only an answer shows that a server is there: write what to send and what to expect in healthCheck.udp.steps"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.tls) || ['https:','grpcs:','mysql:','postgres:','rediss:','tls:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s))) || has(self.healthCheck.http) && has(self.healthCheck.http.followRedirects) && self.healthCheck.http.followRedirects",message="healthCheck.tls is for probes over TLS, and no health check URL begins with https://, grpcs://, mysql://, postgres://, rediss:// or tls://: write such a URL, or remove healthCheck.tls"
// +kubebuilder:validation:XValidation:rule="!has(self.healthCheck) || !has(self.healthCheck.proxyProtocol) || !has(self.healthCheckURL) && self.endpoints.exists(e, !has(e.healthCheckURL)) || ['http:','https:','grpc:','grpcs:','mysql:','postgres:','redis:','rediss:','tcp:','tls:'].exists(s, has(self.healthCheckURL) && self.healthCheckURL.startsWith(s) || self.endpoints.exists(e, has(e.healthCheckURL) && e.healthCheckURL.startsWith(s)))",message="healthCheck.proxyProtocol is for probes over TCP, and all health check URLs begin with dns://, icmp:// or udp://: remove healthCheck.proxyProtocol"
type ExternalServiceSpec struct {
	// targetService is the Service that the endpoints belong to. It defaults to the Service with
	// this object's name and namespace.
	// +optional
	TargetService *TargetServiceReference `json:"targetService,omitempty"`

	// serviceTemplate, if set, makes the operator create and own the target Service: the operator
	// keeps it in line with the template and deletes it with this object. If not set, the Service
	// must exist and is left as it is.
	// +optional
	ServiceTemplate *ServiceTemplate `json:"serviceTemplate,omitempty"`

	// ports are the ports of every endpoint without ports of its own, at most 16. They default to
	// the Service's numeric target ports.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Ports []EndpointPort `json:"ports,omitempty"`

	// endpoints are outside the cluster, from 1 to 1000.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	Endpoints []Endpoint `json:"endpoints"`

	// endpointStates set the states of endpoints apart from the list of endpoints, at most 1000.
	// Each entry can have a field manager of its own. An entry creates no endpoint.
	// +optional
	// +listType=map
	// +listMapKey=address
	// +listMapKey=port
	// +kubebuilder:validation:MaxItems=1000
	EndpointStates []EndpointStateEntry `json:"endpointStates,omitempty"`

	// healthCheckURL is the probe of endpoints without a URL of their own: its scheme is the
	// protocol (http, tcp, dns and others), an empty host or port means the endpoint's own, as in
	// "http:///health". By default, the endpoint's first TCP port must accept a connection.
	// +optional
	HealthCheckURL HealthCheckURL `json:"healthCheckURL,omitempty"`

	// healthCheckInterval is the time from one probe of an endpoint to the next, from 500ms to 1h;
	// the default is 10s.
	// +optional
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('500ms') && duration(self) <= duration('1h')",message="must be a duration from 500ms to 1h, such as 10s"
	HealthCheckInterval *metav1.Duration `json:"healthCheckInterval,omitempty"`

	// healthCheck defines when a probe passes and how many probes make a verdict.
	// +optional
	// +kubebuilder:default={}
	HealthCheck HealthCheck `json:"healthCheck,omitempty,omitzero"`

	// availability defines which endpoints get traffic when some or all of them are unhealthy, and
	// how endpoints are removed.
	// +optional
	// +kubebuilder:default={}
	Availability Availability `json:"availability,omitempty,omitzero"`

	// endpointSlices are options for the EndpointSlices.
	// +optional
	EndpointSlices *EndpointSliceOptions `json:"endpointSlices,omitempty"`

	// dns defines how DNS names among the endpoints are resolved.
	// +optional
	DNS *DNSOptions `json:"dns,omitempty"`

	// publishEndpoints also maintains an Endpoints object with the Service's name, for consumers
	// that do not read EndpointSlices. It is not mirrored into slices. Kubernetes has deprecated
	// Endpoints since 1.33.
	// +optional
	PublishEndpoints bool `json:"publishEndpoints,omitempty"`

	// suspend stops the probes and leaves the EndpointSlices as they are.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// Endpoint is an endpoint outside the cluster.
//
// +kubebuilder:validation:XValidation:rule="!has(self.port) || !has(self.ports)",message="set port or ports, not both"
// +kubebuilder:validation:XValidation:rule="!has(self.stateUntil) || has(self.state) && self.state != 'Active'",message="stateUntil ends the states Draining and Disabled: set state to one of them, or remove stateUntil"
// +kubebuilder:validation:XValidation:rule="!has(self.serverName) || isIP(self.address)",message="serverName is for endpoints given by an IP address, and a DNS name is its own server name: remove serverName"
type Endpoint struct {
	// address is an IPv4 or IPv6 address, or a DNS name. Every address of a name is an endpoint
	// with its own health. Names are absolute, with or without a trailing dot. srv:// in front of
	// a name uses its SRV records, as in srv://_postgresql._tcp.example.internal: they list hosts
	// and ports, and their priorities become tiers. An address that cannot be published (loopback,
	// link-local, multicast, unspecified) is rejected with the condition
	// EndpointsAccepted; the other endpoints work.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.startsWith('srv://') || isIP(self) || self.matches('^[A-Za-z0-9_][-A-Za-z0-9_.]*$') && !self.matches('-[.]|-$|[.][-.]|(^|[.])(0[xX][0-9A-Za-z]*|[0-9]+)[.]?$')",message="address must be an IP address, such as 192.0.2.10 or 2001:db8::10, or a DNS name in ASCII (xn--...), such as db.example.com: write the port in port, and no brackets, prefix length, zone, leading zeros or wildcard"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('srv://') || self.lowerAscii().matches('^srv://_[-a-z0-9_]+[.]_(tcp|udp|sctp)[.][a-z0-9_][-a-z0-9_.]*$')",message="write srv:// and the name of SRV records, as in srv://_postgresql._tcp.example.internal"
	// +kubebuilder:validation:XValidation:rule="!self.lowerAscii().matches('(^|[.])localhost[.]?$')",message="localhost is the operator's own host: write the address of the endpoint"
	Address string `json:"address"`

	// port is this endpoint's port. It replaces the single port of spec.ports or, without them, of
	// the Service; if there are several, use ports. Omit it with srv://.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`

	// ports are this endpoint's ports, instead of spec.ports, at most 16.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Ports []EndpointPort `json:"ports,omitempty"`

	// healthCheckURL is the probe of this endpoint, instead of spec.healthCheckURL.
	// +optional
	HealthCheckURL HealthCheckURL `json:"healthCheckURL,omitempty"`

	// hostname is a DNS label under which a headless Service publishes this endpoint.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="hostname must be one lower-case DNS label without dots, such as db-0"
	Hostname string `json:"hostname,omitempty"`

	// nodeName is the node that consumers associate with this endpoint.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="nodeName must be the name of a node: lower-case letters, digits, dashes and dots"
	NodeName string `json:"nodeName,omitempty"`

	// zone is the topology zone that this endpoint is in or nearest to.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="size(self) > 0 && !format.labelValue().validate(self).hasValue()",message="zone must be a label value: letters, digits, dashes, dots and underscores, with a letter or digit at both ends, such as eu-central-1a"
	Zone string `json:"zone,omitempty"`

	// forZones are the zones whose clients use this endpoint, instead of the hints that follow
	// from zone and the Service's trafficDistribution, at most 8. kube-proxy follows them only if
	// every ready endpoint of the Service has hints.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	ForZones []string `json:"forZones,omitempty"`

	// priority is this endpoint's tier, from 0, which comes first and is the default, to 127. A
	// tier gets traffic only while the tiers before it together have fewer than
	// availability.minReady healthy endpoints. Standby endpoints are probed as well, so their
	// health is known before they are needed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=127
	Priority int32 `json:"priority,omitempty"`

	// state overrides the probes. Active endpoints, the default, get traffic while they are
	// healthy; Draining ones keep their connections and get no new ones; Disabled ones get nothing
	// and are not probed.
	// +optional
	// +kubebuilder:default=Active
	State EndpointState `json:"state,omitempty"`

	// stateUntil is when the state Draining or Disabled ends by itself. The endpoint is Active from
	// then on. By default, the state does not end.
	// +optional
	StateUntil *metav1.Time `json:"stateUntil,omitempty"`

	// serverName is the name by which probes address an endpoint that is given by its IP address:
	// in the Host header, in TLS (SNI), and for the certificate. healthCheck.http.host and
	// healthCheck.tls.serverName take precedence. A host in the probe URL that is this name means
	// the address.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="serverName must be a DNS name in lower case, such as db.example.com"
	ServerName string `json:"serverName,omitempty"`
}

// HealthCheckURL is the URL of a probe: scheme, host, port, path. An empty host or port means
// the endpoint's own. A user name is allowed with postgres, mysql, redis and rediss, a password
// never.
//
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.find('^[a-z]+://') in ['dns://','grpc://','grpcs://','http://','https://','icmp://','mysql://','postgres://','redis://','rediss://','tcp://','tls://','udp://']",message="start the URL with its scheme: dns://, grpc://, grpcs://, http://, https://, icmp://, mysql://, postgres://, redis://, rediss://, tcp://, tls:// or udp://"
// +kubebuilder:validation:XValidation:rule="!self.matches('[^!-~]')",message="the URL must not contain spaces or other special characters: percent-encode them"
// +kubebuilder:validation:XValidation:rule="size(self) == 0 || isURL(self)",message="the URL cannot be parsed: write scheme://host:port/path, IPv6 addresses in brackets, and %25 for a percent sign"
// +kubebuilder:validation:XValidation:rule="size(self) == 0 || self.find('^[a-z]+://[^/?#]*').matches('^[a-z]+://([^@]*@)?([-A-Za-z0-9_.]*|[[][0-9A-Fa-f:.]+[]])(:[0-9]{0,5})?$')",message="after the scheme, the URL must have a host and a port, each of which may be left out: write an IPv6 address in brackets and without a zone, a name in ASCII (xn--...), and one port, as in http://[2001:db8::10]:8080/"
// +kubebuilder:validation:XValidation:rule="!isURL(self) || size(url(self).getPort()) == 0 || size(url(self).getPort()) > 5 || int(url(self).getPort()) > 0 && int(url(self).getPort()) <= 65535",message="the URL's port is out of range: write one from 1 to 65535"
// +kubebuilder:validation:XValidation:rule="!self.find('^[a-z]+://[^/?#]*').matches('[/@.]-|-([.:]|$)|[/@.][.]')",message="a label of the URL's host is empty, or begins or ends with a dash: write a DNS name such as db.example.com"
// +kubebuilder:validation:XValidation:rule="!self.find('^[a-z]+://[^/?#]*').matches('[/@.](0[xX][0-9A-Za-z]*|[0-9]+)[.]?(:[0-9]*)?$') || isIP(self.find('[0-9]+([.][0-9]+)+'))",message="the URL's host is neither an IP address nor a DNS name: write an IPv4 address as 192.0.2.10, in four decimal numbers without leading zeros"
// +kubebuilder:validation:XValidation:rule="!self.contains('#')",message="the URL has a fragment (#...), which is never sent: remove it"
// +kubebuilder:validation:XValidation:rule="!['tcp:','tls:','udp:','redis:','rediss:','grpc:','grpcs:'].exists(s, self.startsWith(s)) || !isURL(self) || size(url(self).getEscapedPath()) < 2",message="URLs of tcp, tls, udp, redis and grpc take no path: remove everything after the port, and write the service of grpc in healthCheck.grpc.service"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('icmp:') || !isURL(self) || size(url(self).getPort()) == 0 && size(url(self).getEscapedPath()) == 0",message="icmp URLs take no port or path: remove everything after the host"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('dns:') || !isURL(self) || !(size(url(self).getEscapedPath()) < 2)",message="dns URLs end in the name to query: write it after the port, as in dns://:53/www.example.com"
// +kubebuilder:validation:XValidation:rule="!self.matches('^[^/?#]*//[^/?#]*:[^/?#]*@')",message="the URL must not contain a password, because everybody who can read this object would see it: put it into a Secret and name that in healthCheck.credentialsSecretRef"
// +kubebuilder:validation:XValidation:rule="['postgres://','mysql://','redis://','rediss://'].exists(s, self.startsWith(s)) || !self.matches('^[^/?#]*//[^/?#]*@')",message="the URL may contain a user name only with postgres, mysql, redis and rediss: put it into a Secret and name that in healthCheck.credentialsSecretRef"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('dns:') || !self.contains('?')",message="dns URLs take no parameters: write healthCheck.dns.type or healthCheck.dns.transport instead"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('grpc:') || !self.contains('?')",message="grpc URLs take no parameters: write healthCheck.grpc.watch, service or authority instead"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('grpcs:') || !self.contains('?')",message="grpcs URLs take no parameters: write healthCheck.grpc.watch, service or authority instead"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('icmp:') || !self.contains('?')",message="icmp URLs take no parameters: remove everything from the question mark on"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('mysql:') || !self.contains('?')",message="mysql URLs take no parameters: write healthCheck.mysql.role, maxLag or sslMode instead"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('postgres:') || !self.contains('?')",message="postgres URLs take no parameters: write healthCheck.postgres.role, maxLag, query or sslMode instead"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('redis:') || !self.contains('?')",message="redis URLs take no parameters: write healthCheck.redis.role or maxLag instead"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('rediss:') || !self.contains('?')",message="rediss URLs take no parameters: write healthCheck.redis.role or maxLag instead"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('tcp:') || !self.contains('?')",message="tcp URLs take no parameters: write the fields of healthCheck.tcp, or healthCheck.proxyProtocol, instead"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('tls:') || !self.contains('?')",message="tls URLs take no parameters: write healthCheck.tls.minValidity or healthCheck.proxyProtocol instead"
// +kubebuilder:validation:XValidation:rule="!self.startsWith('udp:') || !self.contains('?')",message="udp URLs take no parameters: write the fields of healthCheck.udp instead"
type HealthCheckURL string

// EndpointState is the state that the owner of an endpoint wants.
//
// +kubebuilder:validation:Enum=Active;Draining;Disabled
type EndpointState string

// States of an endpoint.
const (
	// EndpointActive endpoints get traffic while they are healthy.
	EndpointActive EndpointState = "Active"
	// EndpointDraining endpoints keep their connections and get no new ones.
	EndpointDraining EndpointState = "Draining"
	// EndpointDisabled endpoints get no traffic and are not probed.
	EndpointDisabled EndpointState = "Disabled"
)

// EndpointSliceOptions are options for the EndpointSlices.
type EndpointSliceOptions struct {
	// groupBy Zone puts the endpoints of each zone into separate slices, which carry the label
	// topology.kubernetes.io/zone. None, the default, packs them together.
	// +optional
	// +kubebuilder:default=None
	// +kubebuilder:validation:Enum=None;Zone
	GroupBy SliceGrouping `json:"groupBy,omitempty"`

	// maxEndpoints is the maximum number of endpoints in a slice, from 1 to 1000. It defaults to
	// the operator's flag --max-endpoints-per-slice, 100 by default.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxEndpoints *int32 `json:"maxEndpoints,omitempty"`

	// labels are added to the slices.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && !format.qualifiedName().validate(k).hasValue() && !format.labelValue().validate(self[k]).hasValue())",message="labels must have qualified names as keys and label values as values"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|farpoint[.]dev)/'))",message="labels under kubernetes.io, k8s.io and farpoint.dev are reserved"
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations are added to the slices.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && !format.qualifiedName().validate(k.lowerAscii()).hasValue())",message="annotations must have qualified names as keys"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|farpoint[.]dev)/'))",message="annotations under kubernetes.io, k8s.io and farpoint.dev are reserved"
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`
}

// SliceGrouping is what the endpoints in a slice have in common, in addition to address type
// and ports.
type SliceGrouping string

// Groupings of slices.
const (
	// GroupByNone packs endpoints together regardless of their zone.
	GroupByNone SliceGrouping = "None"
	// GroupByZone puts the endpoints of each zone into separate slices.
	GroupByZone SliceGrouping = "Zone"
)

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
type LabelValue string

// AnnotationValue is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=4096
type AnnotationValue string
