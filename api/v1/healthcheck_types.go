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

// HealthCheck defines when a probe passes and how many probes make a verdict.
//
// An endpoint without a verdict is ready with its first passed probe. After that,
// failureThreshold consecutive failures make it unhealthy and successThreshold consecutive
// passes make it healthy again. A status in http.drainStatuses is neither.
type HealthCheck struct {
	// timeout limits a whole probe, from 10ms up to healthCheckInterval. The default is 2s, or
	// healthCheckInterval if that is shorter.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('10ms') && duration(self) <= duration('1h')",message="must be a duration from 10ms to 1h, such as 2s"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// failureThreshold is the number of consecutive failed probes that make an endpoint unhealthy,
	// from 1 to 100; the default is 3.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	FailureThreshold int32 `json:"failureThreshold,omitempty"`

	// successThreshold is the number of consecutive passed probes that make an unhealthy endpoint
	// healthy, from 1 to 100; the default is 2.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	SuccessThreshold int32 `json:"successThreshold,omitempty"`

	// fastInterval replaces healthCheckInterval while a change is pending: before the first
	// verdict, and from the first probe that contradicts the verdict until it is confirmed or
	// dropped. From 100ms up to healthCheckInterval. The default is 1s, or healthCheckInterval if
	// that is shorter.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="must be a duration from 100ms to 1h, such as 1s"
	FastInterval *metav1.Duration `json:"fastInterval,omitempty"`

	// initialState is the state of a new endpoint before its first verdict: NotReady, the default,
	// or Ready.
	// +optional
	// +kubebuilder:default=NotReady
	// +kubebuilder:validation:Enum=NotReady;Ready
	InitialState InitialState `json:"initialState,omitempty"`

	// proxyProtocol starts each connection with a header of the PROXY protocol, for servers
	// behind a load balancer that accept no connection without one: V1 or V2. It applies to all
	// schemes over TCP except dns.
	// +optional
	ProxyProtocol ProxyProtocolVersion `json:"proxyProtocol,omitempty"`

	// http has the options of http and https probes.
	// +optional
	HTTP *HTTPHealthCheck `json:"http,omitempty"`

	// tls has the options of probes over TLS.
	// +optional
	TLS *TLSHealthCheck `json:"tls,omitempty"`

	// tcp has the options of tcp and tls probes.
	// +optional
	TCP *TCPHealthCheck `json:"tcp,omitempty"`

	// udp has the options of udp probes.
	// +optional
	UDP *UDPHealthCheck `json:"udp,omitempty"`

	// grpc has the options of grpc and grpcs probes.
	// +optional
	GRPC *GRPCHealthCheck `json:"grpc,omitempty"`

	// dns has the options of dns probes.
	// +optional
	DNS *DNSHealthCheck `json:"dns,omitempty"`

	// postgres has the options of postgres probes.
	// +optional
	Postgres *PostgresHealthCheck `json:"postgres,omitempty"`

	// mysql has the options of mysql probes.
	// +optional
	MySQL *MySQLHealthCheck `json:"mysql,omitempty"`

	// redis has the options of redis and rediss probes.
	// +optional
	Redis *RedisHealthCheck `json:"redis,omitempty"`

	// credentialsSecretRef names the Secret with the credentials for probes. Its type is
	// kubernetes.io/basic-auth, Opaque or a custom one; its keys are username, password and token.
	// http and https send the token as Authorization: Bearer, or without one username and password
	// as Authorization: Basic; postgres, mysql, redis and rediss log in with username and
	// password. A changed Secret is in use within 30 seconds.
	// +optional
	CredentialsSecretRef *SecretReference `json:"credentialsSecretRef,omitempty"`

	// sendCredentialsToUnverifiedServers lets probes send credentials to servers whose certificate
	// was not verified: with http, grpc and redis, and with https, grpcs and rediss if
	// tls.insecureSkipVerify is set. If false, the default, such probes are not made, and
	// EndpointsAccepted reports it with the reason CredentialsWithheld. If true, anybody on the
	// path, and any later owner of an endpoint's address, can read the password or token. The same
	// applies to an Authorization header in http.headers. postgres and mysql do not need this
	// field: without verified TLS they log in only by methods that do not reveal the password.
	// +optional
	SendCredentialsToUnverifiedServers bool `json:"sendCredentialsToUnverifiedServers,omitempty"`
}

// InitialState is the state of a new endpoint before its first verdict.
type InitialState string

// Initial states of an endpoint.
const (
	// InitiallyNotReady gives a new endpoint no traffic before a probe has passed.
	InitiallyNotReady InitialState = "NotReady"
	// InitiallyReady gives a new endpoint traffic until its probes have failed.
	InitiallyReady InitialState = "Ready"
)

// HTTPHealthCheck has the options of http and https probes.
//
// +kubebuilder:validation:XValidation:rule="!has(self.drainStatuses) || !has(self.expectedStatuses) || self.drainStatuses.all(d, self.expectedStatuses.all(e, d.substring(size(d) - 3) < e.substring(0, 3) || e.substring(size(e) - 3) < d.substring(0, 3)))",message="drainStatuses and expectedStatuses must have no status in common: remove it from one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.standbyStatuses) || !has(self.expectedStatuses) || self.standbyStatuses.all(d, self.expectedStatuses.all(e, d.substring(size(d) - 3) < e.substring(0, 3) || e.substring(size(e) - 3) < d.substring(0, 3)))",message="standbyStatuses and expectedStatuses must have no status in common: remove it from one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.standbyStatuses) || !has(self.drainStatuses) || self.standbyStatuses.all(d, self.drainStatuses.all(e, d.substring(size(d) - 3) < e.substring(0, 3) || e.substring(size(e) - 3) < d.substring(0, 3)))",message="standbyStatuses and drainStatuses must have no status in common: remove it from one of them"
type HTTPHealthCheck struct {
	// method of the request: GET, the default, HEAD, OPTIONS or POST.
	// +optional
	// +kubebuilder:default=GET
	// +kubebuilder:validation:Enum=GET;HEAD;OPTIONS;POST
	Method string `json:"method,omitempty"`

	// host is the Host header; it defaults to the probe URL's host and port.
	// +optional
	// +kubebuilder:validation:MaxLength=260
	Host string `json:"host,omitempty"`

	// headers are added to the request, at most 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Headers []HTTPHeader `json:"headers,omitempty"`

	// expectedStatuses are the statuses of a healthy endpoint, single ones or ranges; the default
	// is 200-399.
	// +optional
	// +listType=set
	// +kubebuilder:default={"200-399"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=7
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$')",message="must be a status or a range of them, such as 204 or 200-399"
	ExpectedStatuses []string `json:"expectedStatuses,omitempty"`

	// drainStatuses are the statuses of an endpoint that serves and takes no new traffic, single
	// ones or ranges. The endpoint is then published as terminating: it keeps its connections, and
	// gets new ones only if no endpoint is ready. None of them may be an expected status.
	// failureThreshold and successThreshold apply to them as well.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=7
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$')",message="must be a status or a range of them, such as 503 or 500-503"
	DrainStatuses []string `json:"drainStatuses,omitempty"`

	// standbyStatuses are the statuses of an endpoint that works while another one is to get the
	// traffic, single ones or ranges: 503 of Patroni's /primary, or 429, 472 and 473 of Vault. The
	// endpoint is then published as a standby and counts as one. It gets no traffic by any kind of
	// failing open, and is neither unhealthy nor reported by alerts. One answer is enough. None of
	// them may be an expected or a drain status. List no status that a proxy in front of the
	// endpoint, or a failing endpoint, answers with as well.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=7
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$')",message="must be a status or a range of them, such as 503 or 472-473"
	StandbyStatuses []string `json:"standbyStatuses,omitempty"`

	// expectedBody is a regular expression (RE2) that must match somewhere in the first
	// maxBodyBytes of the response's body. An expression with so many repetitions that matching
	// could take long, such as x{1,1000}, needs a smaller maxBodyBytes.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	ExpectedBody string `json:"expectedBody,omitempty"`

	// followRedirects follows redirects and evaluates the last response. Otherwise a redirect is
	// an ordinary response.
	// +optional
	FollowRedirects bool `json:"followRedirects,omitempty"`

	// maxBodyBytes is how much of the body expectedBody is matched against, up to 65536 bytes; the
	// default is 16384.
	// +optional
	// +kubebuilder:default=16384
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65536
	MaxBodyBytes int32 `json:"maxBodyBytes,omitempty"`

	// version of HTTP: HTTP1, the default, or HTTP2, negotiated with https (ALPN) and by prior
	// knowledge with http.
	// +optional
	// +kubebuilder:default=HTTP1
	Version HTTPVersion `json:"version,omitempty"`
}

// HTTPHeader is a header line of a probe's request.
type HTTPHeader struct {
	// name of the header.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-A-Za-z0-9!#$%&*+.^_`|~]+$')",message="a header's name must contain only letters, digits and dashes"
	// +kubebuilder:validation:XValidation:rule="!(self.lowerAscii() in ['host','connection','keep-alive','te','trailer','transfer-encoding','upgrade','content-length','metadata','metadata-flavor']) && !self.lowerAscii().startsWith('proxy-') && !self.lowerAscii().startsWith('x-aws-ec2-metadata-') && !self.lowerAscii().startsWith('x-google-metadata-')",message="this header must not be set: for Host use http.host; the others belong to the connection or to cloud metadata services"
	Name string `json:"name"`

	// value of the header. Everybody who can read this object can read it.
	// +required
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="!self.matches('[\\\\x00-\\\\x08\\\\x0a-\\\\x1f\\\\x7f]')",message="a header's value must not contain control characters"
	Value string `json:"value"`
}

// TLSHealthCheck has the options of probes over TLS.
//
// +kubebuilder:validation:XValidation:rule="!has(self.caSecretRef) || !has(self.caConfigMapRef)",message="set caSecretRef or caConfigMapRef, not both"
type TLSHealthCheck struct {
	// serverName is sent to the endpoint (SNI) and must be in its certificate; it defaults to the
	// probe URL's host.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="serverName must be a DNS name, such as db.example.com"
	ServerName string `json:"serverName,omitempty"`

	// caSecretRef names the Secret with the CA certificates to trust instead of the system's.
	// +optional
	CASecretRef *KeyReference `json:"caSecretRef,omitempty"`

	// caConfigMapRef names the ConfigMap with the CA certificates to trust instead of the
	// system's.
	// +optional
	CAConfigMapRef *KeyReference `json:"caConfigMapRef,omitempty"`

	// clientCertificateSecretRef names the Secret of type kubernetes.io/tls with the certificate
	// and the key for endpoints that request a client certificate.
	// +optional
	ClientCertificateSecretRef *SecretReference `json:"clientCertificateSecretRef,omitempty"`

	// minValidity also fails probes of a certificate that expires within this time, or one of
	// whose authorities does, from 1m to 8760h. By default, it only has to be valid now.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1m') && duration(self) <= duration('8760h')",message="must be a duration from 1m to 8760h, such as 168h"
	MinValidity *metav1.Duration `json:"minValidity,omitempty"`

	// insecureSkipVerify accepts any certificate: the probe then shows that some server answers,
	// not that it is the right one.
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// SecretReference names a Secret in this object's namespace.
type SecretReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// KeyReference names a key of a Secret or ConfigMap in this object's namespace.
type KeyReference struct {
	// name of the Secret or ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// key in it; the default is ca.crt.
	// +optional
	// +kubebuilder:default=ca.crt
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}
