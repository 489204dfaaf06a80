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

// ProxyProtocolVersion is a version of the PROXY protocol.
//
// +kubebuilder:validation:Enum=V1;V2
type ProxyProtocolVersion string

// Versions of the PROXY protocol.
const (
	// ProxyProtocolV1 is the text header.
	ProxyProtocolV1 ProxyProtocolVersion = "V1"
	// ProxyProtocolV2 is the binary header.
	ProxyProtocolV2 ProxyProtocolVersion = "V2"
)

// HTTPVersion is a version of HTTP.
//
// +kubebuilder:validation:Enum=HTTP1;HTTP2
type HTTPVersion string

// Versions of HTTP.
const (
	// HTTP1 is HTTP/1.1.
	HTTP1 HTTPVersion = "HTTP1"
	// HTTP2 is HTTP/2, negotiated by ALPN with https and by prior knowledge with http.
	HTTP2 HTTPVersion = "HTTP2"
)

// GRPCHealthCheck has the options of grpc and grpcs probes.
type GRPCHealthCheck struct {
	// service is the full name of the service, such as shop.Cart; by default, the server as a
	// whole is checked.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.matches('[^!-~]')",message="service must be a name such as shop.Cart: remove spaces and special characters"
	Service string `json:"service,omitempty"`

	// watch also keeps a stream open on which the server reports changes at once.
	// +optional
	Watch bool `json:"watch,omitempty"`

	// authority is the pseudo-header :authority, by which proxies such as Envoy choose the
	// backend; it defaults to the probe URL's host and port.
	// +optional
	// +kubebuilder:validation:MaxLength=260
	// +kubebuilder:validation:XValidation:rule="self.matches('^[]A-Za-z0-9_.:[-]*$')",message="authority must be a name or an address, with a port if needed, such as shop.example.com:443"
	Authority string `json:"authority,omitempty"`
}

// DNSRecordType is a type of DNS records.
//
// +kubebuilder:validation:Enum=A;AAAA;CAA;CNAME;HTTPS;MX;NAPTR;NS;PTR;SOA;SRV;SVCB;TXT
type DNSRecordType string

// DNSTransport is how DNS queries are sent.
//
// +kubebuilder:validation:Enum=UDP;TCP
type DNSTransport string

// Transports of DNS queries.
const (
	// DNSOverUDP queries by UDP, and by TCP if the answer is truncated.
	DNSOverUDP DNSTransport = "UDP"
	// DNSOverTCP queries by TCP only.
	DNSOverTCP DNSTransport = "TCP"
)

// DNSHealthCheck has the options of dns probes. The name to query is the path of the URL.
type DNSHealthCheck struct {
	// type is the type of the records to query: A, the default, AAAA, CAA, CNAME, HTTPS, MX,
	// NAPTR, NS, PTR, SOA, SRV, SVCB or TXT.
	// +optional
	// +kubebuilder:default=A
	Type DNSRecordType `json:"type,omitempty"`

	// transport is UDP, the default, which changes to TCP if the answer is truncated, or TCP.
	// +optional
	// +kubebuilder:default=UDP
	Transport DNSTransport `json:"transport,omitempty"`
}

// ServerRole is the part of a database server in its replication.
//
// +kubebuilder:validation:Enum=Primary;Replica
type ServerRole string

// Roles of database servers.
const (
	// RolePrimary takes writes.
	RolePrimary ServerRole = "Primary"
	// RoleReplica follows a primary.
	RoleReplica ServerRole = "Replica"
)

// SSLMode says when probes of a database use TLS, and how much they verify.
//
// +kubebuilder:validation:Enum=Disable;Prefer;Require;VerifyCA;VerifyFull
type SSLMode string

// PostgresHealthCheck has the options of postgres probes. The user and the database are in the
// URL.
//
// +kubebuilder:validation:XValidation:rule="!has(self.role) || self.role != 'Primary' || !has(self.maxLag)",message="a primary has no lag: remove maxLag, or write role: Replica"
type PostgresHealthCheck struct {
	// role is what the server must be: Primary, which takes writes, or Replica, which is in
	// recovery; by default either.
	// +optional
	Role ServerRole `json:"role,omitempty"`

	// maxLag is how far a replica may lag behind its primary, from 1ms to 8760h; by default, the
	// lag is not checked.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1ms') && duration(self) <= duration('8760h')",message="must be a duration from 1ms to 8760h, such as 30s"
	MaxLag *metav1.Duration `json:"maxLag,omitempty"`

	// query must return one row with one column, which is true. It runs in a read-only
	// transaction and is cancelled when the probe ends.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="!self.contains('\\x00')",message="query must not contain zero bytes"
	Query string `json:"query,omitempty"`

	// sslMode means the same as libpq's sslmode: Disable, Prefer, Require, VerifyCA or
	// VerifyFull. It defaults to VerifyFull if there is a healthCheck.tls, and otherwise to
	// Prefer.
	// +optional
	SSLMode SSLMode `json:"sslMode,omitempty"`
}

// MySQLHealthCheck has the options of mysql probes. The user and the database are in the URL.
//
// +kubebuilder:validation:XValidation:rule="!has(self.role) || self.role != 'Primary' || !has(self.maxLag)",message="a primary has no lag: remove maxLag, or write role: Replica"
// +kubebuilder:validation:XValidation:rule="!has(self.sslMode) || self.sslMode != 'VerifyCA'",message="mysql has no sslMode VerifyCA: write VerifyFull, with tls.serverName if the certificate has another name"
type MySQLHealthCheck struct {
	// role is what the server must be: Primary, which takes writes, or Replica, which is
	// read-only; by default either.
	// +optional
	Role ServerRole `json:"role,omitempty"`

	// maxLag is how far a replica may lag behind each of its sources, from 1ms to 8760h; by
	// default, the lag is not checked.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1ms') && duration(self) <= duration('8760h')",message="must be a duration from 1ms to 8760h, such as 30s"
	MaxLag *metav1.Duration `json:"maxLag,omitempty"`

	// sslMode is Disable, Prefer, Require (encrypted, not verified) or VerifyFull. It defaults to
	// VerifyFull if there is a healthCheck.tls, and otherwise to Prefer.
	// +optional
	SSLMode SSLMode `json:"sslMode,omitempty"`
}

// RedisHealthCheck has the options of redis and rediss probes. The user is in the URL.
//
// +kubebuilder:validation:XValidation:rule="!has(self.role) || self.role != 'Primary' || !has(self.maxLag)",message="a primary has no lag: remove maxLag, or write role: Replica"
type RedisHealthCheck struct {
	// role is what the server must be: Primary, which Redis calls master and which takes writes,
	// or Replica; by default either.
	// +optional
	Role ServerRole `json:"role,omitempty"`

	// maxLag is for how long a replica may be disconnected from its primary, from 1ms to 8760h.
	// By default, a server that must be a replica must be connected.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1ms') && duration(self) <= duration('8760h')",message="must be a duration from 1ms to 8760h, such as 30s"
	MaxLag *metav1.Duration `json:"maxLag,omitempty"`
}

// ProbeStep is one step of a dialogue: the probe sends something, or waits until it has received
// something.
//
// +kubebuilder:validation:XValidation:rule="[has(self.send), has(self.sendBase64), has(self.expect), has(self.expectBase64)].filter(x, x).size() == 1",message="a step must have exactly one of send, sendBase64, expect and expectBase64: write one step for each"
type ProbeStep struct {
	// send is text to send. YAML writes a line break as \r\n in double quotes.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Send string `json:"send,omitempty"`

	// sendBase64 is bytes to send, in base64, up to 1024 of them.
	// +optional
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=1368
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$')",message="sendBase64 must be base64: encode the bytes with the tool base64"
	SendBase64 string `json:"sendBase64,omitempty"`

	// expect is text that must appear in what the endpoint sends: with tcp and tls in the next
	// 4 KiB, with udp in one of the next datagrams.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Expect string `json:"expect,omitempty"`

	// expectBase64 is expect for bytes, in base64, up to 1024 of them.
	// +optional
	// +kubebuilder:validation:MinLength=4
	// +kubebuilder:validation:MaxLength=1368
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$')",message="expectBase64 must be base64: encode the bytes with the tool base64"
	ExpectBase64 string `json:"expectBase64,omitempty"`
}

// StartTLSProtocol is the protocol by which a connection goes over to TLS.
//
// +kubebuilder:validation:Enum=SMTP;IMAP;LDAP;Postgres
type StartTLSProtocol string

// TCPHealthCheck has the options of tcp and tls probes.
type TCPHealthCheck struct {
	// steps are a dialogue with the endpoint, at most 16 steps, after the connection is
	// established, with tls:// after the handshake. By default, the probe says nothing.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Steps []ProbeStep `json:"steps,omitempty"`

	// startTLS has a tls:// probe begin without TLS, and go over to it as clients of the protocol
	// do: SMTP, IMAP, LDAP or Postgres.
	// +optional
	StartTLS StartTLSProtocol `json:"startTLS,omitempty"`
}

// UDPHealthCheck has the options of udp probes.
//
// +kubebuilder:validation:XValidation:rule="(has(self.steps[0].send) || has(self.steps[0].sendBase64)) && (has(self.steps[size(self.steps) - 1].expect) || has(self.steps[size(self.steps) - 1].expectBase64))",message="udp.steps must begin with something to send and end with something to expect: without an answer, nothing shows that a server is there"
type UDPHealthCheck struct {
	// steps are a dialogue with the endpoint, from 2 to 16 steps, a datagram for each.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=2
	// +kubebuilder:validation:MaxItems=16
	Steps []ProbeStep `json:"steps"`
}
