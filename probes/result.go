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

package probes

import (
	"fmt"
	"maps"
	"slices"
)

// Outcome is what a single probe says about its endpoint.
type Outcome uint8

const (
	// Unknown means that the probe could not be made, or not be trusted, for a
	// cause that lies with the prober and not with the endpoint: no file
	// descriptors, no route, no name server. It changes no verdict.
	Unknown Outcome = iota
	// Success means that the endpoint answered as it should.
	Success
	// Failure means that the endpoint is to blame: it refused, was silent, or
	// answered otherwise than it should.
	Failure
	// Draining means that the endpoint is well and says that it takes no new traffic.
	Draining
	// Ineligible means that the endpoint is well and says that it is not the one for this
	// traffic: it is a replica where the primary is asked for, or stands by.
	Ineligible
	// Reachable means that the endpoint accepts connections, and that nothing more was asked
	// of it (package protocol makes such probers). It ends a run of failures, but never makes an
	// endpoint healthy, and renews no verdict.
	Reachable
)

// Reached reports whether the probe reached a working endpoint.
func (o Outcome) Reached() bool {
	return o == Success || o == Draining || o == Ineligible || o == Reachable
}

// Completes reports whether the probe ran to its end, so that its duration is typical.
func (o Outcome) Completes() bool { return o == Success || o == Ineligible }

// Decides reports whether the outcome counts for a verdict.
func (o Outcome) Decides() bool { return o != Unknown && o != Reachable }

// Reason says why an outcome is not a success. The set is closed and coarse on purpose: people
// who can create an ExternalService read it, and must not be able to scan the network or read
// other people's responses through it.
type Reason uint8

// ReasonNone is that of a success.
const ReasonNone Reason = 0

// Reasons of a Failure.
const (
	// ReasonConnectionRefused: nothing listens on the port.
	ReasonConnectionRefused Reason = iota + 1
	// ReasonConnectionClosed: the peer reset or closed the connection too early.
	ReasonConnectionClosed
	// ReasonHostUnreachable: a router, a firewall or the endpoint itself says that it cannot be
	// reached.
	ReasonHostUnreachable
	// ReasonTimeout: no complete answer before the deadline.
	ReasonTimeout
	// ReasonTLSHandshake: the TLS handshake failed for another cause than the
	// certificate.
	ReasonTLSHandshake
	// ReasonCertificate: the certificate is expired, for another name, or signed
	// by an unknown authority.
	ReasonCertificate
	// ReasonCertificateExpiring: the certificate is in order, but will not be for as long
	// as the probe URL asks.
	ReasonCertificateExpiring
	// ReasonStatus: the protocol's status is not an expected one. Result.Code has it.
	ReasonStatus
	// ReasonContent: the body or the banner does not match what is expected.
	ReasonContent
	// ReasonProtocol: the peer does not speak the protocol of the probe URL.
	ReasonProtocol
	// ReasonALPN: the TLS handshake does not agree upon HTTP/2, which the probe needs.
	ReasonALPN
	// ReasonRedirect: redirects in a circle, too many, or to where no probe may go.
	ReasonRedirect
	// ReasonDNSNameNotFound: the name server reports that the name does not exist (NXDOMAIN).
	ReasonDNSNameNotFound
	// ReasonDNSServerFailure: the name server reports a failure (SERVFAIL).
	ReasonDNSServerFailure
	// ReasonDNSRefused: the name server does not answer such questions, or not to us
	// (REFUSED).
	ReasonDNSRefused
	// ReasonDNSNoRecords: the name exists, but has no record of the type.
	ReasonDNSNoRecords
	// ReasonNotServing: the server says that the service takes no calls.
	ReasonNotServing
	// ReasonServiceUnknown: the server says that it has no such service.
	ReasonServiceUnknown
	// ReasonHealthUnimplemented: the server does not implement the health protocol.
	ReasonHealthUnimplemented
	// ReasonAddressRefused: the probe URL's name resolves to an address that
	// probes may not connect to.
	ReasonAddressRefused
	// ReasonAuthentication: the server refuses the credentials, the host that the probe
	// comes from, or to be asked without credentials.
	ReasonAuthentication
	// ReasonNotAccepting: the server is there, but serves nobody: it is starting, loading
	// its data, or shutting down.
	ReasonNotAccepting
	// ReasonTooManyConnections: the server takes no more connections.
	ReasonTooManyConnections
	// ReasonReadOnly: the server is a primary and takes no writes.
	ReasonReadOnly
	// ReasonRoleUnknown: the server does not say what its role or its lag is.
	ReasonRoleUnknown
	// ReasonLag: a replica lags behind by too much.
	ReasonLag
	// ReasonQuery: healthCheck.postgres.query failed, or did not return true.
	ReasonQuery
	// ReasonServerError: the server answered with an error that none of these stands for.
	ReasonServerError
)

// Reasons of an Ineligible outcome.
const (
	// ReasonRole: the server is a replica instead of the primary, or the other way round.
	ReasonRole Reason = iota + 60
	// ReasonStandby: the status is one of the standby statuses. Result.Code has it.
	ReasonStandby
)

// ReasonDraining is that of a Draining outcome: the status is one of the drain statuses.
// Result.Code has it.
const ReasonDraining Reason = 63

// Reasons of an Unknown outcome.
const (
	// ReasonLocalResources: the operator ran out of file descriptors, ports or memory.
	ReasonLocalResources Reason = iota + 64
	// ReasonNetworkUnreachable: the operator's own host has no route or no gateway, or does not
	// permit the probe.
	ReasonNetworkUnreachable
	// ReasonNameResolution: the name in the probe URL could not be resolved.
	ReasonNameResolution
	// ReasonICMPForbidden: the kernel does not let the operator send echo requests.
	ReasonICMPForbidden
	// ReasonInternal: the prober itself failed.
	ReasonInternal
	// ReasonCanceled: the probe was given up before its deadline, because its
	// target went away or the operator stops.
	ReasonCanceled
	// ReasonStalled: the operator's process stood still during the probe, so that the
	// endpoint had no fair chance.
	ReasonStalled
	// ReasonCrowded: the operator was too busy to make the probe, or computed for other probes for
	// most of its time.
	ReasonCrowded
	// ReasonIsolated: the operator has lost its own network, it seems.
	ReasonIsolated
	// ReasonDeferred: limits, or too much work, have kept the probe from beginning.
	ReasonDeferred
	// ReasonUnconfirmed: the probe failed, but only another failure, or another endpoint that
	// answers, can show that it is the endpoint's fault.
	ReasonUnconfirmed
	// ReasonUnsoundDefinition: the health check, or something that it refers to, is such that
	// no probe can be made.
	ReasonUnsoundDefinition
	// ReasonCredentialsWithheld: the server asks for the password in a way in which only a
	// server that has proved who it is gets it. Result.Code has the way.
	ReasonCredentialsWithheld
)

// reasons holds what users read for each reason: a word and a sentence.
var reasons = map[Reason]struct{ word, sentence string }{
	ReasonConnectionRefused:   {"ConnectionRefused", "connection refused"},
	ReasonConnectionClosed:    {"ConnectionClosed", "connection closed by the endpoint before the check was complete"},
	ReasonHostUnreachable:     {"HostUnreachable", "the network reports that the endpoint cannot be reached"},
	ReasonTimeout:             {"Timeout", "no complete answer within the timeout"},
	ReasonTLSHandshake:        {"TLSHandshakeFailed", "TLS handshake failed"},
	ReasonCertificate:         {"CertificateInvalid", "certificate is expired, for another name, or of an unknown authority"},
	ReasonCertificateExpiring: {"CertificateExpiring", "certificate expires within tls.minValidity"},
	ReasonStatus:              {"UnexpectedStatus", "status is not an expected one"},
	ReasonContent:             {"UnexpectedContent", "response does not match the expected content"},
	ReasonProtocol:            {"ProtocolError", "response does not follow the protocol of the probe URL"},
	ReasonALPN:                {"HTTP2NotNegotiated", "server does not choose HTTP/2 by ALPN in the TLS handshake: enable the protocol h2 in it, or probe it by another protocol"},
	ReasonRedirect:            {"RedirectFailed", "redirects form a loop, are too many, or lead to an address that probes may not connect to"},
	ReasonDNSNameNotFound:     {"NameNotFound", "name server reports that the name does not exist (NXDOMAIN)"},
	ReasonDNSServerFailure:    {"NameServerFailure", "name server reports a failure (SERVFAIL)"},
	ReasonDNSRefused:          {"QueryRefused", "name server refuses the query (REFUSED)"},
	ReasonDNSNoRecords:        {"NoRecords", "name has no record of the queried type"},
	ReasonNotServing:          {"NotServing", "server reports that the service is not serving"},
	ReasonServiceUnknown:      {"ServiceUnknown", "server knows no such service: correct grpc.service, or register its health in the server"},
	ReasonHealthUnimplemented: {"HealthUnimplemented", "server does not implement grpc.health.v1.Health: register that service in it, or probe it by tls:// or tcp://"},
	ReasonAddressRefused:      {"AddressRefused", "name in the probe URL resolves to an address that probes may not connect to"},
	ReasonAuthentication:      {"AuthenticationFailed", "server refuses the credentials, or requires some"},
	ReasonNotAccepting:        {"NotAccepting", "server is up but accepts nobody: it is starting, loading, or shutting down"},
	ReasonTooManyConnections:  {"TooManyConnections", "server has no connection left, or none for this user"},
	ReasonReadOnly:            {"ReadOnly", "server is a primary that takes no writes: it is read-only, recovering, or has fewer replicas than it must have"},
	ReasonRoleUnknown:         {"RoleUnknown", "server does not report its role or its lag, at least not to this user"},
	ReasonLag:                 {"ReplicationLag", "replica lags by more than maxLag, or does not replicate"},
	ReasonQuery:               {"QueryFailed", "query failed, or did not return true"},
	ReasonServerError:         {"ServerError", "server returned an error"},
	ReasonRole:                {"WrongRole", "server has another role than the health check asks for: another server has that one"},
	ReasonStandby:             {"Standby", "endpoint reports that it stands by"},
	ReasonDraining:            {"Draining", "endpoint reports that it takes no new traffic"},
	ReasonLocalResources:      {"LocalResourcesExhausted", "not probed: the operator is out of sockets, ports or memory"},
	ReasonNetworkUnreachable:  {"NetworkUnreachable", "not probed: the operator's own host cannot reach the network, or prohibits it"},
	ReasonNameResolution:      {"NameResolutionFailed", "not probed: name in the probe URL cannot be resolved"},
	ReasonICMPForbidden:       {"ICMPForbidden", "not probed: the operator may not send echo requests: set the sysctl net.ipv4.ping_group_range in its Pod"},
	ReasonInternal:            {"InternalError", "not probed: the prober failed"},
	ReasonCanceled:            {"Canceled", "not probed: the probe was cancelled"},
	ReasonIsolated:            {"OperatorIsolated", "not trusted: the operator seems to have lost its own network"},
	ReasonStalled:             {"ProberStalled", "not probed: the operator was stalled"},
	ReasonCrowded:             {"ProberOverloaded", "not probed: the operator was overloaded"},
	ReasonDeferred:            {"ProbeDeferred", "not probed: the configured probes exceed the operator's limits or CPU"},
	ReasonUnconfirmed:         {"Unconfirmed", "not confirmed: the probe failed, but other endpoints failed too, or none was probed in the meantime"},
	ReasonUnsoundDefinition:   {"HealthCheckUnsound", "not probed: the health check, or an object that it refers to, has an error"},
	ReasonCredentialsWithheld: {"CredentialsWithheld", "credentials withheld: the server asks for them by a method that needs a verified certificate: have its certificate verified (healthCheck.tls), or let the user log in by SCRAM-SHA-256, mysql_native_password or ed25519"},
}

// Reasons lists all reasons there are, for documentation and metrics.
func Reasons() []Reason { return slices.Sorted(maps.Keys(reasons)) }

// String is the reason in one word, as in a status; empty for none.
func (r Reason) String() string { return reasons[r].word }

// IsSelfReported reports whether the reason is an endpoint's own report.
func (r Reason) IsSelfReported() bool { return r == ReasonNotServing || r == ReasonServiceUnknown }

// Result is the answer of one probe.
type Result struct {
	Outcome Outcome
	// Reason is ReasonNone for a Success.
	Reason Reason
	// Code is the protocol's status with ReasonStatus, ReasonStandby and ReasonDraining (503 for
	// HTTP), the way to log in with ReasonCredentialsWithheld, otherwise 0.
	Code uint16
}

// Message is the sentence that users read; empty for a Success. It holds nothing
// that the endpoint sent but a numeric status.
func (r Result) Message() string {
	switch r.Reason {
	case ReasonStatus:
		return fmt.Sprintf("status %d is not an expected one", r.Code)
	case ReasonStandby:
		return fmt.Sprintf("status %d is one of standbyStatuses: the endpoint works, and another one is to get the traffic", r.Code)
	case ReasonDraining:
		return fmt.Sprintf("status %d is one of drainStatuses: the endpoint serves, and takes no new traffic", r.Code)
	case ReasonCredentialsWithheld:
		return LoginMethod(r.Code).Message()
	}
	return reasons[r.Reason].sentence
}

// SuccessResult is the result of a probe that passed.
func SuccessResult() Result { return Result{Outcome: Success} }

// IneligibleResult is the result of a probe that found the endpoint well, and not the one for this
// traffic.
func IneligibleResult(reason Reason) Result { return Result{Outcome: Ineligible, Reason: reason} }

// FailureResult is the result of a probe that failed by the endpoint's fault.
func FailureResult(reason Reason) Result { return Result{Outcome: Failure, Reason: reason} }

// UnknownResult is the result of a probe that says nothing about the endpoint.
func UnknownResult(reason Reason) Result { return Result{Outcome: Unknown, Reason: reason} }
