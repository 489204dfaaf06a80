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

// Conditions that kstatus reads (sigs.k8s.io/cli-utils pkg/kstatus), and with it Flux, Argo CD
// and kubectl wait.
const (
	// ReadyCondition is True when the spec is accepted as a whole and the EndpointSlices reflect
	// what is known. A dead endpoint does not make it False, because that would block every
	// rollout of the object's manifests. Always present.
	ReadyCondition = "Ready"
	// ReconcilingCondition is True while something is missing that is expected to appear without
	// an edit of this object. Otherwise absent.
	ReconcilingCondition = "Reconciling"
	// StalledCondition is True while nothing will change until somebody edits this object or an
	// object that it refers to. Otherwise absent.
	StalledCondition = "Stalled"

	// PublishedReason: ready, the slices reflect what is known.
	PublishedReason = "Published"
	// SuspendedReason: ready, spec.suspend is set.
	SuspendedReason = "Suspended"
	// WriteFailedReason: reconciling, the API server refused a write; the operator retries.
	WriteFailedReason = "WriteFailed"
	// InvalidHealthCheckReason: stalled, spec.healthCheck is invalid. Endpoints are probed by the
	// last valid one; the message has its generation.
	InvalidHealthCheckReason = "InvalidHealthCheck"
	// CertificatesUnavailableReason: reconciling, the Secret or ConfigMap named in
	// spec.healthCheck.tls is missing or unusable. Endpoints are probed with its last contents, or
	// by the last valid health check.
	CertificatesUnavailableReason = "CertificatesUnavailable"
	// Ready, Reconciling and Stalled also carry the reasons of the conditions
	// TargetServiceResolved, PortsMatched, EndpointsAccepted, AddressesResolved and
	// EndpointsPublished when these are False.
)

// AvailableCondition is True while at least spec.availability.minAvailable endpoints are ready for
// each address family and each port of the Service that endpoints have. An unhealthy endpoint
// published by fail-open does not count, because it may not serve. Unknown while outstanding
// verdicts decide. Always present.
const (
	AvailableCondition = "Available"

	// EndpointsReadyReason: available.
	EndpointsReadyReason = "EndpointsReady"
	// NoEndpointsEligibleReason: not available, each active endpoint works and reports that the
	// traffic is for another one.
	NoEndpointsEligibleReason = "NoEndpointsEligible"
	// NoEndpointsReadyReason: not available, no endpoint is ready.
	NoEndpointsReadyReason = "NoEndpointsReady"
	// TooFewEndpointsReadyReason: not available, some are ready, but fewer than minAvailable.
	TooFewEndpointsReadyReason = "TooFewEndpointsReady"
	// AwaitingProbesReason: unknown, too few endpoints are ready, but enough of the others have no
	// verdict yet.
	AwaitingProbesReason = "AwaitingProbes"
	// FailingOpenReason: FailOpen is True. Available or not, by the healthy endpoints.
	FailingOpenReason = "FailingOpen"
)

// FailOpenCondition is True while unhealthy endpoints get traffic, by spec.availability, for
// some address family and port of the Service. Otherwise absent.
const (
	FailOpenCondition = "FailOpen"

	// AllPublishedReason: no endpoint is healthy, and whenNoneHealthy is PublishAll.
	AllPublishedReason = "AllPublished"
	// LastHealthyPublishedReason: no endpoint is healthy, and whenNoneHealthy is
	// PublishLastHealthy.
	LastHealthyPublishedReason = "LastHealthyPublished"
	// DrainingPublishedReason: no endpoint is healthy, some serve and drain, and these get traffic
	// before dead ones.
	DrainingPublishedReason = "DrainingPublished"
	// BelowMinHealthyPercentReason: fewer endpoints than minHealthyPercent are healthy.
	BelowMinHealthyPercentReason = "BelowMinHealthyPercent"
)

// FailedOverCondition is True while a tier is in use that would stand by if all endpoints of
// the spec were active and healthy, the ineligible ones aside, for some address family and port of the Service. The
// message names these unless it applies to all. Otherwise absent.
const (
	FailedOverCondition = "FailedOver"

	// TooFewHealthyReason: failed over, the earlier tiers have fewer than minReady healthy active
	// endpoints.
	TooFewHealthyReason = "TooFewHealthy"
)

// TooManyReadyCondition is True while more servers are healthy than spec.availability.maxReady lets
// be ready, as two primaries are after a network partition. Otherwise absent.
const (
	TooManyReadyCondition = "TooManyReady"

	// MoreThanMaxReadyReason: too many servers are healthy, and the message names the endpoints
	// that get no traffic because of it.
	MoreThanMaxReadyReason = "MoreThanMaxReady"
)

// DegradedCondition is True while an active endpoint is unhealthy. Always present.
const (
	DegradedCondition = "Degraded"

	// EndpointsUnhealthyReason: degraded.
	EndpointsUnhealthyReason = "EndpointsUnhealthy"
	// NoEndpointsUnhealthyReason: not degraded.
	NoEndpointsUnhealthyReason = "NoEndpointsUnhealthy"
)

// OperatorIsolatedCondition is True while failing endpoints are not taken out, because nearly
// everything fails alike, all canaries fail or all default gateways are lost, which suggests
// that the operator's own network is down. Otherwise absent.
const (
	OperatorIsolatedCondition = "OperatorIsolated"

	// VerdictsHeldReason: the verdicts on failing endpoints are unchanged.
	VerdictsHeldReason = "VerdictsHeld"
)

// ProgrammedCondition is True when the API server holds the EndpointSlices that the operator
// wants to publish. While it is False, clients follow the previous ones: status.ready and
// status.endpoints[].published describe these, and so does Available. Always present.
const (
	ProgrammedCondition = "Programmed"

	// ProgrammedReason: the API server holds them.
	ProgrammedReason = "Programmed"
	// AlteredReason: admission modified the slices when they were written.
	AlteredReason = "Altered"
	// The condition is also False with the API server's reason for a refusal, such as Forbidden by
	// admission or a quota, and with WriteFailedReason if there is none.
)

// VerdictsCurrentCondition is False while the health of an endpoint is stale: its probes cannot
// be made, or yield no result, and it keeps its last verdict. Verdicts that the operator holds
// back do not count, see OperatorIsolated. It does not make Ready False. Otherwise absent.
const (
	VerdictsCurrentCondition = "VerdictsCurrent"

	// VerdictsStaleReason: the health of at least one endpoint is stale.
	VerdictsStaleReason = "VerdictsStale"
)

// TargetServiceResolvedCondition is True when the target Service can lead to the endpoints.
// While it is False no slice is published, except with ServiceNotOwnedReason and
// ServiceInvalidReason. Always present.
const (
	TargetServiceResolvedCondition = "TargetServiceResolved"

	// ServiceResolvedReason: the Service exists and leads to the endpoints.
	ServiceResolvedReason = "Resolved"
	// ServiceNotFoundReason: the Service does not exist, and there is no serviceTemplate.
	ServiceNotFoundReason = "ServiceNotFound"
	// ServiceHasSelectorReason: the Service selects Pods, whose endpoints would be
	// mixed with these, and targetService.allowSelector is not set.
	ServiceHasSelectorReason = "ServiceHasSelector"
	// ServiceIsExternalNameReason: the Service is a DNS alias, which has no endpoints.
	ServiceIsExternalNameReason = "ServiceIsExternalName"
	// ServiceInOtherNamespaceReason: serviceTemplate is set, but the Service would be in another
	// namespace, where none is created.
	ServiceInOtherNamespaceReason = "ServiceInOtherNamespace"
	// RefNotPermittedReason: the Service is in another namespace, and no ReferenceGrant
	// there allows ExternalServices of this one to refer to it.
	RefNotPermittedReason = "RefNotPermitted"
	// ReferenceGrantNotInstalledReason: the Service is in another namespace, and the API server
	// does not know ReferenceGrants, which could allow that.
	ReferenceGrantNotInstalledReason = "ReferenceGrantNotInstalled"
	// ServiceNotOwnedReason: serviceTemplate is set, but the Service exists and was not created
	// from it. It is left as it is, and leads to the endpoints.
	ServiceNotOwnedReason = "ServiceNotOwned"
	// ServiceInvalidReason: the API server refuses the Service of the serviceTemplate. A
	// previously created Service continues to lead to the endpoints.
	ServiceInvalidReason = "ServiceInvalid"
)

// PortsMatchedCondition is True when every published port is a port of the Service, by name and
// protocol, and every port of the Service is published. Unknown if the endpoints could not be
// checked. Always present.
const (
	PortsMatchedCondition = "PortsMatched"

	// PortsMatchedReason: they match.
	PortsMatchedReason = "Matched"
	// PortNotInServiceReason: an endpoint has a port that the Service lacks; consumers ignore it.
	PortNotInServiceReason = "PortNotInService"
	// PortWithoutEndpointsReason: no endpoint has this port of the Service, neither here nor in
	// other ExternalServices for it.
	PortWithoutEndpointsReason = "PortWithoutEndpoints"
	// NotJudgedReason: unknown, there is an error in the Service or the health check; see Ready.
	// EndpointsAccepted uses it, too.
	NotJudgedReason = "NotJudged"
)

// FamiliesMatchedCondition is False when the address families of the endpoints differ from the
// Service's. The endpoints are published anyway, so that they are there when the Service gains
// the family, and Ready does not depend on it: one manifest may serve clusters with one family
// and with two. Otherwise absent.
const (
	FamiliesMatchedCondition = "FamiliesMatched"

	// AddressFamilyNotInServiceReason: endpoints have addresses of a family that the Service
	// lacks. Consumers ignore them, and they do not count for Available.
	AddressFamilyNotInServiceReason = "AddressFamilyNotInService"
	// AddressFamilyWithoutEndpointsReason: the Service has a cluster IP of a family that no
	// endpoint has, neither here nor in other ExternalServices for it.
	AddressFamilyWithoutEndpointsReason = "AddressFamilyWithoutEndpoints"
)

// EndpointsAcceptedCondition is True when every endpoint of the spec can be probed and
// published. Other endpoints are rejected; the rest works. Unknown if the endpoints could not
// be checked. Always present.
const (
	EndpointsAcceptedCondition = "EndpointsAccepted"

	// EndpointsAcceptedReason: all endpoints are accepted.
	EndpointsAcceptedReason = "Accepted"

	// The other reasons also appear in status.endpoints[].reason of rejected endpoints; the
	// condition has the reason of the first one.

	// InvalidAddressReason: neither an IP address nor a DNS name.
	InvalidAddressReason = "InvalidAddress"
	// RefusedAddressReason: an address that may not be published.
	RefusedAddressReason = "RefusedAddress"
	// DuplicateEndpointReason: an earlier endpoint has the same address and port.
	DuplicateEndpointReason = "DuplicateEndpoint"
	// InvalidPortReason: there is no port, or it is ambiguous.
	InvalidPortReason = "InvalidPort"
	// InvalidHealthCheckURLReason: the URL cannot be probed.
	InvalidHealthCheckURLReason = "InvalidHealthCheckURL"
	// CredentialsUnavailableReason: the probe needs credentials, and the Secret named in
	// spec.healthCheck.credentialsSecretRef is missing or unusable. Endpoints are probed with its
	// last contents, for a limited time (--removed-credential-grace).
	CredentialsUnavailableReason = "CredentialsUnavailable"
	// CredentialsWithheldReason: the probe would send credentials to an unverified server, or the
	// server asks for the password by a method that needs a verified server. An endpoint that was
	// probed before keeps its verdict.
	CredentialsWithheldReason = "CredentialsWithheld"
	// NotAllowedByPolicyReason: an ExternalServicePolicy that selects the namespace does not allow
	// the endpoint or its probe; it is neither published nor probed. As the reason of the
	// condition only: the interval is too short, and the policy's interval is used.
	NotAllowedByPolicyReason = "NotAllowedByPolicy"
	// InvalidTopologyReason: zone, hostname or nodeName that the API server would refuse.
	InvalidTopologyReason = "InvalidTopology"
)

// AddressesResolvedCondition is True when every DNS name among the endpoints has addresses.
// While it is False, the last addresses of a name are kept. Unknown until all names have an
// answer. Absent if there are no names.
const (
	AddressesResolvedCondition = "AddressesResolved"

	// NamesResolvedReason: all are resolved.
	NamesResolvedReason = "NamesResolved"
	// NamesPublishedReason: all are resolved, and the names are published.
	NamesPublishedReason = "NamesPublished"
	// ResolvingReason: unknown, a name has no answer yet.
	ResolvingReason = "Resolving"

	// The other reasons also appear in status.endpoints[].reason of names without addresses; the
	// condition has the reason of the first one. A name without any address makes Ready False.

	// NoAddressesReason: the name exists, but has no record of the queried types.
	NoAddressesReason = "NoAddresses"
	// NameNotFoundReason: the name does not exist. Its addresses are removed after a grace time.
	NameNotFoundReason = "NameNotFound"
	// AliasLoopReason: the name is an alias of itself, or follows too many aliases.
	AliasLoopReason = "AliasLoop"
	// NameServerFailureReason: the name servers fail, refuse, or send an invalid answer.
	NameServerFailureReason = "NameServerFailure"
	// NameServerNotAllowedReason: a name server of spec.dns.nameservers may not be queried.
	NameServerNotAllowedReason = "NameServerNotAllowed"
	// NameServerTimeoutReason: the name servers do not answer.
	NameServerTimeoutReason = "NameServerTimeout"
	// TooManyAddressesReason: the names yield more endpoints than allowed.
	TooManyAddressesReason = "TooManyAddresses"
)

// TrafficPolicyEffectiveCondition reports whether a request to keep traffic in the client's
// zone or on its node has an effect: True if the slices have hints, False if not. The request
// is the Service's trafficDistribution, traffic policies or topology annotation, or an
// endpoint's forZones. Absent without such a request.
const (
	TrafficPolicyEffectiveCondition = "TrafficPolicyEffective"

	// HintsWrittenReason: effective, every endpoint that may be ready has hints.
	HintsWrittenReason = "HintsWritten"
	// TopologyModeDeprecatedReason: effective, hints are written for the Service's
	// annotation topology-mode: Auto or topology-aware-hints: auto.
	TopologyModeDeprecatedReason = "TopologyModeDeprecated"
	// EndpointWithoutZoneReason: not effective, an endpoint that may be ready has neither zone nor
	// forZones, so no endpoint has hints.
	EndpointWithoutZoneReason = "EndpointWithoutZone"
	// EndpointWithoutNodeReason: not effective as PreferSameNode, because an endpoint that may be
	// ready has no nodeName. There are hints by zone.
	EndpointWithoutNodeReason = "EndpointWithoutNode"
	// OthersWithoutHintsReason: not effective, another ExternalService for the same Service sets
	// no hints, or its Pods have none because these are set by hand, so consumers ignore all
	// hints.
	OthersWithoutHintsReason = "OthersWithoutHints"
	// LocalTrafficPolicyReason: the Service's internalTrafficPolicy or externalTrafficPolicy is
	// Local, and an endpoint without a nodeName gets no such traffic.
	LocalTrafficPolicyReason = "LocalTrafficPolicy"
)

// NoConflictsCondition is True when nobody else sends the Service's traffic to endpoints that
// this object does not know: consumers would follow either of them. It does not make Ready
// False, because these endpoints are published anyway. Always present.
const (
	NoConflictsCondition = "NoConflicts"

	// NoConflictsReason: there is no conflict.
	NoConflictsReason = "NoConflicts"
	// SharedEndpointReason: another ExternalService, or a Pod of a Service that may have a
	// selector, has the same address and port.
	SharedEndpointReason = "SharedEndpoint"
	// ForeignEndpointSlicesReason: somebody else writes EndpointSlices for the Service.
	ForeignEndpointSlicesReason = "ForeignEndpointSlices"
	// MirroredEndpointsReason: an Endpoints object has the Service's name, and Kubernetes copies
	// it into EndpointSlices.
	MirroredEndpointsReason = "MirroredEndpoints"
	// LeftoverPodSlicesReason: the Service had a selector once, and the EndpointSlices of its Pods
	// still exist. Nobody maintains them any more.
	LeftoverPodSlicesReason = "LeftoverPodSlices"
)

// EndpointsPublishedCondition is True while the Endpoints object for spec.publishEndpoints
// matches the EndpointSlices. Unknown without a Service. Absent if publishEndpoints is not set.
const (
	EndpointsPublishedCondition = "EndpointsPublished"

	// EndpointsInStepReason: it matches.
	EndpointsInStepReason = "EndpointsInStep"
	// EndpointsTruncatedReason: it matches, except for the endpoints beyond the first 1,000.
	EndpointsTruncatedReason = "EndpointsTruncated"
	// EndpointsNotOwnedReason: an object with the Service's name exists that was not written for
	// this object. It is left as it is.
	EndpointsNotOwnedReason = "EndpointsNotOwned"
	// It is also False with ServiceHasSelectorReason, because Kubernetes maintains the Endpoints
	// of such a Service, and with WriteFailedReason.
)

// Reasons of the condition Ready of an ExternalServicePolicy.
const (
	// EnforcedReason: ready, the policy is enforced in the selected namespaces.
	EnforcedReason = "Enforced"
	// InvalidPolicyReason: not ready, a field of the spec is invalid, which the API server refuses
	// if it has the operator's CRDs. Nothing is allowed in the selected namespaces.
	InvalidPolicyReason = "InvalidPolicy"
)
