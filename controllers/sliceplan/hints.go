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

package sliceplan

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/ownership"
	"farpoint.dev/farpoint/controllers/phrase"
)

// Hints are the hints that endpoints get in the slices. kube-proxy follows those of a kind
// only if every ready endpoint has one (pkg/proxy/topology.go), so that they are written
// for all or for none.
type Hints struct {
	// zones are written: those set by hand, and with ownZone that of the endpoint where
	// none is.
	zones, ownZone bool
	// nodes are written: that of the endpoint.
	nodes bool
}

// HintDecision is the decision about a request to keep traffic near, or on the node.
type HintDecision struct {
	Hints Hints
	// Effective, Reason and Message are those of the condition TrafficPolicyEffective. Reason is
	// empty if there is no such request.
	Effective       bool
	Reason, Message string
}

// DecideHints decides on hints by what the Service and the endpoints' forZones ask for.
// Kubernetes' own controllers ignore a Service without a selector, so nobody else writes any.
//
// It looks at every endpoint that may ever be ready, whatever its health, although
// consumers look at the ready ones only. Otherwise the death of the only endpoint without
// a zone would give hints to all the others, and its return take them away: each time a
// write of every slice there is.
func DecideHints(service *corev1.Service, endpoints []endpoint.Verdict) HintDecision {
	preference := distributionOf(service)
	var nowhere, nodeless phrase.Sample
	candidates, byHand := 0, false
	for i := range endpoints {
		candidate := endpoints[i].Endpoint
		byHand = byHand || len(candidate.Spec.ForZones) > 0
		if !mayBeReady(&endpoints[i], service.Spec.PublishNotReadyAddresses) {
			continue
		}
		candidates++
		if len(candidate.Spec.ForZones) == 0 && (preference.value == "" || candidate.Spec.Zone == "") {
			nowhere.Add(candidate.Name)
		}
		if candidate.Spec.NodeName == "" {
			nodeless.Add(candidate.Name)
		}
	}
	decision := HintDecision{Hints: Hints{
		zones:   nowhere.Count == 0 && (preference.value != "" || byHand),
		ownZone: preference.value != "",
		nodes:   nodeless.Count == 0 && preference.value == corev1.ServiceTrafficDistributionPreferSameNode,
	}}
	switch local := localPolicy(service); {
	case candidates == 0: // nothing gets traffic anyway
	case local != "" && nodeless.Count > 0:
		decision.explain(false, farpointv1.LocalTrafficPolicyReason,
			"the Service's %s Local leads only to endpoints on the client's node, and %s on no node: set it to Cluster", local, nodeless.With("is", "are"))
	case preference.value == "" && !byHand:
	case nowhere.Count > 0 && !decision.Hints.nodes:
		decision.explain(false, farpointv1.EndpointWithoutZoneReason,
			"%s %s: no hints are written, and clients use endpoints of all zones", nowhere.With("has", "have"), preference.zoneAdvice())
	case nodeless.Count > 0 && preference.value == corev1.ServiceTrafficDistributionPreferSameNode:
		decision.explain(false, farpointv1.EndpointWithoutNodeReason,
			"%s no nodeName, so trafficDistribution PreferSameNode acts as PreferSameZone", nodeless.With("has", "have"))
	case preference.annotation != "":
		decision.explain(true, farpointv1.TopologyModeDeprecatedReason,
			"the Service's annotation %s is deprecated and acts as trafficDistribution: PreferSameZone: set that instead", preference.annotation)
	default:
		decision.explain(true, farpointv1.HintsWrittenReason, "endpoints have hints")
	}
	return decision
}

func (f *HintDecision) explain(effective bool, reason, format string, args ...any) {
	f.Effective, f.Reason, f.Message = effective, reason, fmt.Sprintf(format, args...)
}

// BesideOthers returns the decision if others publish for the Service as well. If they give no
// hints, consumers ignore those that the operator writes. It writes them anyway, so that its
// slices do not change with those of others.
func (f HintDecision) BesideOthers(service *corev1.Service, rivals []*discoveryv1.EndpointSlice) HintDecision {
	if !f.Effective {
		return f
	}
	if others := unhinted(f.Hints, service, rivals); len(others) > 0 {
		f.explain(false, farpointv1.OthersWithoutHintsReason,
			"clients follow hints only if all endpoints of the Service have hints, and there are none in %s: set the Service's trafficDistribution, and set the zone of all endpoints", phrase.List(others, ", "))
	}
	return f
}

// unhinted names the other publishers for the Service without such hints. It leaves out foreign
// slices, of which only the existence is known, which the condition NoConflicts reports.
func unhinted(written Hints, service *corev1.Service, rivals []*discoveryv1.EndpointSlice) []string {
	has := func(given *discoveryv1.EndpointHints) bool {
		return given != nil && (written.zones && len(given.ForZones) > 0 || !written.zones && len(given.ForNodes) > 0)
	}
	hinted := map[string]bool{}
	for _, slice := range rivals {
		owner, _ := ownership.Labelled(slice)
		name := "ExternalService " + phrase.NameFrom(slice.Namespace, owner)
		for i := range slice.Endpoints {
			hinted[name] = hinted[name] || has(slice.Endpoints[i].Hints)
		}
	}
	if len(service.Spec.Selector) > 0 && distributionOf(service).value == "" {
		hinted["the slices of the Service's Pods"] = false // Kubernetes hints as the Service says
	}
	maps.DeleteFunc(hinted, func(_ string, has bool) bool { return has })
	return slices.Sorted(maps.Keys(hinted))
}

// mayBeReady reports whether there is a health with which the endpoint is ready.
func mayBeReady(v *endpoint.Verdict, publishNotReady bool) bool {
	switch v.Spec.State {
	case farpointv1.EndpointDisabled:
		return false
	case farpointv1.EndpointDraining:
		return publishNotReady
	default:
		return true
	}
}

// distribution is how a Service's traffic is to be spread.
type distribution struct {
	// value is PreferSameZone, PreferSameNode, or "" for no preference.
	value string
	// annotation is the old one that asks for it, "" if the Service's spec does.
	annotation string
}

// distributionOf reads what core's controllers read, with the same precedence.
func distributionOf(service *corev1.Service) distribution {
	for _, annotation := range []string{corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode} {
		if value, ok := service.Annotations[annotation]; ok {
			if value == "Auto" || value == "auto" {
				return distribution{corev1.ServiceTrafficDistributionPreferSameZone, annotation}
			}
			break
		}
	}
	switch value := ptr.Deref(service.Spec.TrafficDistribution, ""); value {
	case corev1.ServiceTrafficDistributionPreferClose: // the old name
		return distribution{value: corev1.ServiceTrafficDistributionPreferSameZone}
	case corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode:
		return distribution{value: value}
	}
	return distribution{}
}

// zoneAdvice says what endpoints lack that have no zones to be used from, and what to set.
func (d distribution) zoneAdvice() string {
	if d.value == "" {
		return "no forZones, although others have: set forZones for all endpoints, or set the Service's trafficDistribution to use zone"
	}
	return "neither zone nor forZones: set one of them for every endpoint"
}

// localPolicy returns the field by which a Service leads only to endpoints on the node that the
// traffic comes from or arrives at.
func localPolicy(service *corev1.Service) string {
	switch {
	case ptr.Deref(service.Spec.InternalTrafficPolicy, "") == corev1.ServiceInternalTrafficPolicyLocal:
		return "internalTrafficPolicy"
	case service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal:
		return "externalTrafficPolicy"
	}
	return ""
}

// of returns an endpoint's hints; nil if it gets none.
func (h Hints) of(spec *farpointv1.Endpoint) *discoveryv1.EndpointHints {
	byHand, own, node := h.choose(spec)
	hints := &discoveryv1.EndpointHints{}
	for _, zone := range byHand {
		hints.ForZones = append(hints.ForZones, discoveryv1.ForZone{Name: zone})
	}
	if own != "" {
		hints.ForZones = []discoveryv1.ForZone{{Name: own}}
	}
	if node != "" {
		hints.ForNodes = []discoveryv1.ForNode{{Name: node}}
	}
	if hints.ForZones == nil && hints.ForNodes == nil {
		return nil
	}
	return hints
}

// agree reports whether these are an endpoint's hints.
func (h Hints) agree(present *discoveryv1.EndpointHints, spec *farpointv1.Endpoint) bool {
	byHand, own, node := h.choose(spec)
	if present == nil {
		return len(byHand) == 0 && own == "" && node == ""
	}
	var zonesMatch, nodeMatches bool
	if own != "" {
		zonesMatch = len(present.ForZones) == 1 && present.ForZones[0].Name == own
	} else {
		zonesMatch = slices.EqualFunc(present.ForZones, byHand, func(zone discoveryv1.ForZone, want string) bool { return zone.Name == want })
	}
	if node != "" {
		nodeMatches = len(present.ForNodes) == 1 && present.ForNodes[0].Name == node
	} else {
		nodeMatches = len(present.ForNodes) == 0
	}
	return zonesMatch && nodeMatches
}

// choose returns the zones that are set by hand, or else the endpoint's own, and its node,
// as far as they are written.
func (h Hints) choose(spec *farpointv1.Endpoint) (byHand []string, own, node string) {
	switch {
	case h.zones && len(spec.ForZones) > 0:
		byHand = spec.ForZones
	case h.zones && h.ownZone:
		own = spec.Zone
	}
	if h.nodes {
		node = spec.NodeName
	}
	return byHand, own, node
}
