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

// Conditions that kstatus reads (sigs.k8s.io/cli-utils pkg/kstatus), and with it
// Flux, Argo CD and kubectl wait.
const (
	// ReadyCondition is True when the spec is accepted as a whole and the
	// EndpointSlices say what is known. A dead endpoint does not make it False, or it
	// would block every rollout of the manifests that the object came with. Always
	// present.
	ReadyCondition = "Ready"
	// ReconcilingCondition is True, and present only then, while something is awaited
	// that is expected to come without an edit of this object.
	ReconcilingCondition = "Reconciling"
	// StalledCondition is True, and present only then, when nothing will change until
	// somebody edits this object or what it refers to.
	StalledCondition = "Stalled"

	// PublishedReason: ready, the slices say what is known.
	PublishedReason = "Published"
	// SuspendedReason: ready, spec.suspend is set.
	SuspendedReason = "Suspended"
	// WriteFailedReason: reconciling, the API server refused a write; it is tried again.
	WriteFailedReason = "WriteFailed"
	// InvalidHealthCheckReason: stalled, spec.healthCheck cannot be carried out. Endpoints
	// are probed by the last one that was sound, whose generation the message has.
	InvalidHealthCheckReason = "InvalidHealthCheck"
	// CertificatesUnavailableReason: reconciling, the Secret or ConfigMap named in
	// spec.healthCheck.tls is missing or of no use. Endpoints are probed with what it held
	// last, or by the last health check that was sound.
	CertificatesUnavailableReason = "CertificatesUnavailable"
	// Besides, Ready, Reconciling and Stalled carry the reasons of the conditions
	// TargetServiceResolved, PortsMatched, EndpointsAccepted, AddressesResolved and
	// EndpointsPublished when these are False.
)

// AvailableCondition is True while at least spec.availability.minReady endpoints are
// ready for each address family and each port of the Service that endpoints have. One that
// gets traffic by FailOpen does not count unless it is healthy: it is not known to serve.
// Unknown while the verdicts still to come decide. Always present.
const (
	AvailableCondition = "Available"

	// EndpointsReadyReason: available.
	EndpointsReadyReason = "EndpointsReady"
	// NoEndpointsReadyReason: not available, no endpoint is ready.
	NoEndpointsReadyReason = "NoEndpointsReady"
	// TooFewEndpointsReadyReason: not available, some are ready, but fewer than minReady.
	TooFewEndpointsReadyReason = "TooFewEndpointsReady"
	// AwaitingProbesReason: unknown, too few endpoints are ready, but enough have had no
	// verdict.
	AwaitingProbesReason = "AwaitingProbes"
	// FailingOpenReason: FailOpen is True. Available or not, by the healthy endpoints.
	FailingOpenReason = "FailingOpen"
)

// FailOpenCondition is True, and present only then, while endpoints get traffic that are
// not healthy, by spec.availability, for some address family and port of the Service.
const (
	FailOpenCondition = "FailOpen"

	// AllPublishedReason: no endpoint is healthy, and whenNoneHealthy is PublishAll.
	AllPublishedReason = "AllPublished"
	// LastHealthyPublishedReason: no endpoint is healthy, and whenNoneHealthy is
	// PublishLastHealthy.
	LastHealthyPublishedReason = "LastHealthyPublished"
	// DrainingPublishedReason: no endpoint is healthy, some serve and drain, and spec.availability
	// would have others get traffic that do not even serve.
	DrainingPublishedReason = "DrainingPublished"
	// BelowMinHealthyPercentReason: fewer endpoints than minHealthyPercent are healthy.
	BelowMinHealthyPercentReason = "BelowMinHealthyPercent"
)

// FailedOverCondition is True, and present only then, while a tier is in use that would
// stand by if all endpoints of the spec were active and healthy, for some address family and
// port of the Service. The message names these unless the same is true of all.
const (
	FailedOverCondition = "FailedOver"

	// TooFewHealthyReason: failed over, the tiers before have fewer than minReady healthy
	// active endpoints.
	TooFewHealthyReason = "TooFewHealthy"
)

// DegradedCondition is True while an active endpoint is unhealthy. Always present.
const (
	DegradedCondition = "Degraded"

	// EndpointsUnhealthyReason: degraded.
	EndpointsUnhealthyReason = "EndpointsUnhealthy"
	// NoEndpointsUnhealthyReason: not degraded.
	NoEndpointsUnhealthyReason = "NoEndpointsUnhealthy"
)

// OperatorIsolatedCondition is True, and present only then, while endpoints that fail are
// not taken out, since nearly everything fails alike, all canaries fail or all default
// gateways are lost, which seems to be the operator's own fault.
const (
	OperatorIsolatedCondition = "OperatorIsolated"

	// VerdictsHeldReason: the verdicts on failing endpoints stay as they are.
	VerdictsHeldReason = "VerdictsHeld"
)

// ProgrammedCondition is True when the API server holds the EndpointSlices that are to be
// published. While it is False, what clients follow is what it held before: status.ready and
// status.endpoints[].published say what that is, and Available goes by it. Always present.
const (
	ProgrammedCondition = "Programmed"

	// ProgrammedReason: the API server holds them.
	ProgrammedReason = "Programmed"
	// AlteredReason: admission changed the slices when they were written.
	AlteredReason = "Altered"
	// The condition is also False with the reason that the API server gives for a refusal, such
	// as Forbidden by admission or a quota, and with WriteFailedReason if it gives none.
)

// VerdictsCurrentCondition is False, and present only then, while the health of an endpoint
// is stale: its probes cannot be made, or say nothing, and its last verdict stands. Verdicts
// that the operator holds back itself do not count, see OperatorIsolated. It does not make
// Ready False.
const (
	VerdictsCurrentCondition = "VerdictsCurrent"

	// VerdictsStaleReason: the health of at least one endpoint is stale.
	VerdictsStaleReason = "VerdictsStale"
)

// TargetServiceResolvedCondition is True when the target Service is one that can
// lead to the endpoints. While it is False no slice is published, save with
// ServiceNotOwnedReason and ServiceInvalidReason. Always present.
const (
	TargetServiceResolvedCondition = "TargetServiceResolved"

	// ServiceResolvedReason: the Service exists and leads to the endpoints.
	ServiceResolvedReason = "Resolved"
	// ServiceNotFoundReason: there is no such Service, and no serviceTemplate.
	ServiceNotFoundReason = "ServiceNotFound"
	// ServiceHasSelectorReason: the Service selects Pods, whose endpoints would be
	// mixed with these, and targetService.allowSelector is not set.
	ServiceHasSelectorReason = "ServiceHasSelector"
	// ServiceIsExternalNameReason: the Service is a DNS alias, which has no endpoints.
	ServiceIsExternalNameReason = "ServiceIsExternalName"
	// ServiceInOtherNamespaceReason: there is a serviceTemplate, but the Service is to be in
	// another namespace, where none is created.
	ServiceInOtherNamespaceReason = "ServiceInOtherNamespace"
	// RefNotPermittedReason: the Service is in another namespace, and no ReferenceGrant
	// there allows ExternalServices of this one to refer to it.
	RefNotPermittedReason = "RefNotPermitted"
	// ReferenceGrantNotInstalledReason: the Service is in another namespace, and the API
	// server does not know ReferenceGrants, by which that could be allowed.
	ReferenceGrantNotInstalledReason = "ReferenceGrantNotInstalled"
	// ServiceNotOwnedReason: there is a serviceTemplate, but the Service exists and was
	// not created from it. It is left as it is and leads to the endpoints all the same.
	ServiceNotOwnedReason = "ServiceNotOwned"
	// ServiceInvalidReason: the API server refuses the Service of the serviceTemplate.
	// A Service created before leads to the endpoints all the same.
	ServiceInvalidReason = "ServiceInvalid"
)

// PortsMatchedCondition is True when every port that is published is one of the
// Service's, by name and protocol, and the other way round. Always present, Unknown
// if the endpoints could not be judged.
const (
	PortsMatchedCondition = "PortsMatched"

	// PortsMatchedReason: they match.
	PortsMatchedReason = "Matched"
	// PortNotInServiceReason: an endpoint's port is not one of the Service's, which
	// consumers ignore.
	PortNotInServiceReason = "PortNotInService"
	// PortWithoutEndpointsReason: a port of the Service is one of no endpoint's, neither here
	// nor in other ExternalServices for it.
	PortWithoutEndpointsReason = "PortWithoutEndpoints"
	// NotJudgedReason: unknown, the Service or the health check is at fault; see Ready. It
	// is that of EndpointsAccepted, too.
	NotJudgedReason = "NotJudged"
)

// FamiliesMatchedCondition is False, and present only then, when the address families of the
// endpoints are not those of the Service. The endpoints are published all the same, so that
// they are there when the Service gains the family, and Ready does not depend on it: one
// manifest may serve clusters with one family and with two.
const (
	FamiliesMatchedCondition = "FamiliesMatched"

	// AddressFamilyNotInServiceReason: endpoints have addresses of a family that the Service
	// lacks. Consumers ignore them, and they do not count for Available.
	AddressFamilyNotInServiceReason = "AddressFamilyNotInService"
	// AddressFamilyWithoutEndpointsReason: the Service has a cluster IP of a family that no
	// endpoint has, neither here nor in other ExternalServices for it.
	AddressFamilyWithoutEndpointsReason = "AddressFamilyWithoutEndpoints"
)

// EndpointsAcceptedCondition is True when every endpoint of the spec can be probed
// and published. The ones that cannot are set aside; the others go on. Always
// present, Unknown if the endpoints could not be judged.
const (
	EndpointsAcceptedCondition = "EndpointsAccepted"

	// EndpointsAcceptedReason: all are.
	EndpointsAcceptedReason = "Accepted"

	// The other reasons stand in status.endpoints[].reason of the endpoint that is
	// set aside; the condition has that of the first.

	// InvalidAddressReason: neither an IP address nor a DNS name.
	InvalidAddressReason = "InvalidAddress"
	// RefusedAddressReason: an address that may not be published.
	RefusedAddressReason = "RefusedAddress"
	// DuplicateEndpointReason: address and port of an endpoint before it.
	DuplicateEndpointReason = "DuplicateEndpoint"
	// InvalidPortReason: no port, or not clear which one.
	InvalidPortReason = "InvalidPort"
	// InvalidHealthCheckURLReason: the URL cannot be probed.
	InvalidHealthCheckURLReason = "InvalidHealthCheckURL"
	// CredentialsUnavailableReason: the probe takes credentials, and the Secret named in
	// spec.healthCheck.credentialsSecretRef is missing or of no use. Endpoints are
	// probed with what it held last, for a time (--removed-credential-grace).
	CredentialsUnavailableReason = "CredentialsUnavailable"
	// CredentialsWithheldReason: the probe would send credentials to a server that has not
	// proved who it is, or the server asks for the password in a way in which it gets it
	// only then. An endpoint that was probed before keeps its verdict.
	CredentialsWithheldReason = "CredentialsWithheld"
	// NotAllowedByPolicyReason: an ExternalServicePolicy that selects the namespace does not
	// allow the endpoint or its probe; it is neither published nor probed. Or, as the reason
	// of the condition alone, it does not allow so short an interval, and a longer one is
	// kept to.
	NotAllowedByPolicyReason = "NotAllowedByPolicy"
	// InvalidTopologyReason: zone, hostname or nodeName that the API server would refuse.
	InvalidTopologyReason = "InvalidTopology"
)

// AddressesResolvedCondition is True when every DNS name among the endpoints leads to
// addresses. While it is False, the addresses that a name led to last are kept. It is
// present only where there is such a name, and Unknown until all have been asked for.
const (
	AddressesResolvedCondition = "AddressesResolved"

	// NamesResolvedReason: all are resolved.
	NamesResolvedReason = "NamesResolved"
	// NamesPublishedReason: all are resolved, and published as names.
	NamesPublishedReason = "NamesPublished"
	// ResolvingReason: unknown, a name has not been answered yet.
	ResolvingReason = "Resolving"

	// The other reasons stand in status.endpoints[].reason of a name that leads nowhere; the
	// condition has that of the first. A name without any address makes Ready False.

	// NoAddressesReason: the name exists, but has no record of the types that are asked for.
	NoAddressesReason = "NoAddresses"
	// NameNotFoundReason: the name does not exist. Its addresses go after a grace time.
	NameNotFoundReason = "NameNotFound"
	// AliasLoopReason: the name is an alias of itself, or at the end of too many aliases.
	AliasLoopReason = "AliasLoop"
	// NameServerFailureReason: the name servers fail to find out, refuse to answer, or send
	// what is no answer.
	NameServerFailureReason = "NameServerFailure"
	// NameServerTimeoutReason: the name servers do not answer.
	NameServerTimeoutReason = "NameServerTimeout"
	// TooManyAddressesReason: the names lead to more endpoints than there may be.
	TooManyAddressesReason = "TooManyAddresses"
)

// TrafficPolicyEffectiveCondition tells whether the wish to keep traffic in the client's
// zone or on its node comes true: True if the slices have hints, False if it is void. It
// is present only where there is such a wish: in the Service's trafficDistribution,
// traffic policies or topology annotation, or in an endpoint's forZones.
const (
	TrafficPolicyEffectiveCondition = "TrafficPolicyEffective"

	// HintsWrittenReason: effective, every endpoint that may be ready has hints.
	HintsWrittenReason = "HintsWritten"
	// TopologyModeDeprecatedReason: effective, hints are written for the Service's
	// annotation topology-mode: Auto or topology-aware-hints: auto.
	TopologyModeDeprecatedReason = "TopologyModeDeprecated"
	// EndpointWithoutZoneReason: not effective, an endpoint that may be ready has neither
	// zone nor forZones, so that no endpoint has hints.
	EndpointWithoutZoneReason = "EndpointWithoutZone"
	// EndpointWithoutNodeReason: not effective as PreferSameNode, since an endpoint that
	// may be ready has no nodeName. There are hints by zone.
	EndpointWithoutNodeReason = "EndpointWithoutNode"
	// OthersWithoutHintsReason: not effective, another ExternalService for the same Service
	// gives no hints, or its Pods have none since these are set by hand, so that nobody
	// follows those that are written here.
	OthersWithoutHintsReason = "OthersWithoutHints"
	// LocalTrafficPolicyReason: the Service's internalTrafficPolicy or
	// externalTrafficPolicy is Local, and an endpoint without a nodeName gets no traffic
	// by it.
	LocalTrafficPolicyReason = "LocalTrafficPolicy"
)

// NoConflictsCondition is True when nobody else sends the Service's traffic where this
// object does not know of: consumers would follow now the one and now the other. It does
// not make Ready False, since these endpoints are published all the same. Always present.
const (
	NoConflictsCondition = "NoConflicts"

	// NoConflictsReason: nobody does.
	NoConflictsReason = "NoConflicts"
	// SharedEndpointReason: another ExternalService, or a Pod of a Service that may have a
	// selector, has the same address and port.
	SharedEndpointReason = "SharedEndpoint"
	// ForeignEndpointSlicesReason: somebody else writes EndpointSlices for the Service.
	ForeignEndpointSlicesReason = "ForeignEndpointSlices"
	// MirroredEndpointsReason: there is an Endpoints object with the Service's name, which
	// Kubernetes copies into EndpointSlices.
	MirroredEndpointsReason = "MirroredEndpoints"
	// LeftoverPodSlicesReason: the Service had a selector once, and the EndpointSlices of
	// its Pods are still there. Nobody maintains them any more.
	LeftoverPodSlicesReason = "LeftoverPodSlices"
)

// EndpointsPublishedCondition is True while the Endpoints object that spec.publishEndpoints
// asks for says what the EndpointSlices say. It is present only if that is set, and
// Unknown without a Service.
const (
	EndpointsPublishedCondition = "EndpointsPublished"

	// EndpointsInStepReason: it does.
	EndpointsInStepReason = "EndpointsInStep"
	// EndpointsTruncatedReason: it does, but for the endpoints beyond the first 1,000.
	EndpointsTruncatedReason = "EndpointsTruncated"
	// EndpointsNotOwnedReason: there is one with the Service's name already, which was not
	// written for this object. It is left as it is.
	EndpointsNotOwnedReason = "EndpointsNotOwned"
	// Besides, it is False with ServiceHasSelectorReason, since Kubernetes keeps the Endpoints
	// of such a Service, and with WriteFailedReason.
)

// Reasons of the condition Ready of an ExternalServicePolicy.
const (
	// EnforcedReason: ready, the ExternalServices of the namespaces keep to it.
	EnforcedReason = "Enforced"
	// InvalidPolicyReason: not ready, something in the spec cannot be read, which the API
	// server refuses where it has the operator's CRDs. The namespaces that it selects are
	// allowed nothing.
	InvalidPolicyReason = "InvalidPolicy"
)
