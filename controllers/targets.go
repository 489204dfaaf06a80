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

package controllers

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
)

// endpoint is an endpoint of the spec that can be published, or one that has left the
// spec and is draining.
type endpoint struct {
	// index is its place in the spec; beyond it for one that has left.
	index int
	// name tells the endpoints of one ExternalService apart: address and first port.
	name    string
	spec    *farpointv1.Endpoint
	address netip.Addr
	// text is the canonical form of address, which the slices have.
	text  string
	ports *portSet
	// prober is nil for an endpoint that is disabled or held.
	prober   probes.Prober
	identity probes.Identity
	// held endpoints have a health check that cannot be carried out, but were published
	// before: a slip in a URL must not take a living endpoint out. As far as they are
	// probed still, it is by what the URL said before.
	held bool
	// drainUntil is when an endpoint goes that has left the spec; zero for all others.
	drainUntil time.Time
}

// rejection says why an endpoint of the spec is set aside.
type rejection struct {
	reason, message string
}

// targets are the endpoints of a spec, judged.
type targets struct {
	// accepted are in the order of the spec.
	accepted []endpoint
	// rejected are by their index in the spec, and include the held ones.
	rejected map[int]rejection
	// taken are the places of endpoints, with their index in the spec.
	taken map[place]int
	// slowed says that endpoints are probed less often than the spec says; empty if not.
	slowed string
}

// targetPlanner judges the endpoints of a spec. It is pure.
type targetPlanner struct {
	registry probes.Registry
	egress   *probes.EgressPolicy
	// confines are those of the object's namespace; nil are none.
	confines *confines
	// room is how many endpoints the object may have.
	room int
}

// within is the planner for an object that is confined, and has so much room.
func (p targetPlanner) within(confines *confines, room int) targetPlanner {
	if confines != nil {
		p.registry, p.confines = confines.registry, confines
	}
	p.room = room
	return p
}

// refuses tells whether nothing may be published at a place, or not any more.
func (p targetPlanner) refuses(address netip.Addr, ports []discoveryv1.EndpointPort) bool {
	return p.egress.CheckPublished(address) != nil || p.confines.checkPlace(address, ports) != nil
}

// plan judges each endpoint by itself, so that a bad one harms no other. The ports are
// those of the Service; seeds tell what was published before.
func (p targetPlanner) plan(spec *farpointv1.ExternalServiceSpec, ports []corev1.ServicePort, common settings, seeds *seeds) targets {
	planned := targets{
		accepted: make([]endpoint, 0, len(spec.Endpoints)),
		rejected: map[int]rejection{},
		taken:    make(map[place]int, len(spec.Endpoints)),
	}
	resolver := &portResolver{common: spec.Ports, service: ports}
	for i := range spec.Endpoints {
		made, refused := p.locate(spec, i, resolver)
		if refused == nil {
			refused = duplicate(&made, planned.taken)
		}
		if refused == nil {
			refused = p.confines.refusal(&made, p.room)
		}
		if refused == nil {
			// What a policy refuses is no slip: nothing is held that it does not allow.
			if refused = p.equip(&made, spec, common); refused != nil && refused.reason != farpointv1.NotAllowedByPolicyReason {
				_, made.held = seeds.of(&made)
			}
		}
		if refused != nil {
			planned.rejected[i] = *refused
		}
		if refused == nil || made.held {
			planned.accepted = append(planned.accepted, made)
		}
	}
	return planned
}

// locate finds out where an endpoint is.
func (p targetPlanner) locate(spec *farpointv1.ExternalServiceSpec, index int, resolver *portResolver) (endpoint, *rejection) {
	wanted := &spec.Endpoints[index]
	address, err := netip.ParseAddr(wanted.Address)
	if err != nil || address.Zone() != "" {
		return endpoint{}, &rejection{farpointv1.InvalidAddressReason, fmt.Sprintf("%q is not an IPv4 or IPv6 address", wanted.Address)}
	}
	if err := p.egress.CheckPublished(address); err != nil {
		return endpoint{}, &rejection{farpointv1.RefusedAddressReason, err.Error()}
	}
	if message := topologyFault(wanted); message != "" {
		return endpoint{}, &rejection{farpointv1.InvalidTopologyReason, message}
	}
	ports, err := resolver.resolve(wanted)
	if err != nil {
		return endpoint{}, &rejection{farpointv1.InvalidPortReason, err.Error()}
	}
	text := address.String()
	return endpoint{index: index, name: endpointName(text, ports), spec: wanted, address: address, text: text, ports: ports}, nil
}

// equip gives an endpoint its prober, unless it is disabled.
func (p targetPlanner) equip(made *endpoint, spec *farpointv1.ExternalServiceSpec, common settings) *rejection {
	if made.spec.State == farpointv1.EndpointDisabled {
		return nil
	}
	definition := definitionOf(spec, made, common)
	takesCredentials := probes.TakesCredentials(definition.URL)
	switch {
	case takesCredentials && common.login.fault != "":
		return &rejection{farpointv1.CredentialsUnavailableReason, common.login.fault}
	case takesCredentials:
		definition.Credentials = common.login.credentials
	}
	prober, err := p.registry.New(definition)
	if err != nil {
		if refused := rejectedByPolicy(err); refused != nil {
			return refused
		}
		return &rejection{farpointv1.InvalidHealthCheckURLReason, err.Error()}
	}
	made.prober, made.identity = prober, identityOf(definition, common)
	if p.confines != nil && roams(&definition) {
		made.identity = confinedIdentity(made.identity, p.confines)
	}
	return nil
}

func definitionOf(spec *farpointv1.ExternalServiceSpec, made *endpoint, common settings) probes.Definition {
	url := made.spec.HealthCheckURL
	if url == "" {
		url = spec.HealthCheckURL
	}
	if url == "" {
		url = "tcp://"
	}
	return probes.Definition{
		URL:     string(url),
		Address: made.address,
		Port:    made.ports.firstOf(corev1.ProtocolTCP),
		UDPPort: made.ports.firstOf(corev1.ProtocolUDP),
		HTTP:    common.http,
		TLS:     common.tls,
		TCP:     common.tcp,
	}
}

func identityOf(definition probes.Definition, common settings) probes.Identity {
	digest := sha256.New()
	digest.Write(common.digest[:])
	fmt.Fprintf(digest, "%s %d %d %s", definition.Address, definition.Port, definition.UDPPort, definition.URL)
	if definition.Credentials != nil {
		digestCredentials(digest, definition.Credentials)
	}
	return probes.Identity(digest.Sum(nil)[:len(probes.Identity{})])
}

// confinedIdentity tells probes apart that do the same as long as nothing leads them to
// where only one of them may go.
func confinedIdentity(identity probes.Identity, within *confines) probes.Identity {
	digest := sha256.Sum256(append(identity[:], within.digest[:]...))
	return probes.Identity(digest[:len(identity)])
}

// topologyFault finds what the API server would refuse together with the whole slice
// and all other endpoints in it. The CRD's own rules say the same; this holds where
// the CRD is older than the operator.
func topologyFault(wanted *farpointv1.Endpoint) string {
	checks := [...]struct {
		field, value string
		faults       func(string) []string
	}{
		{"zone", wanted.Zone, validation.IsValidLabelValue},
		{"hostname", wanted.Hostname, validation.IsDNS1123Label},
		{"nodeName", wanted.NodeName, validation.IsDNS1123Subdomain},
	}
	for _, check := range checks {
		if check.value == "" {
			continue
		}
		if faults := check.faults(check.value); len(faults) > 0 {
			return fmt.Sprintf("%s %q: %s", check.field, check.value, faults[0])
		}
	}
	return forZonesFault(wanted.ForZones)
}

func forZonesFault(zones []string) string {
	if len(zones) > 8 {
		return fmt.Sprintf("forZones has %d zones, more than 8", len(zones))
	}
	for i, zone := range zones {
		if zone == "" || slices.Contains(zones[:i], zone) {
			return fmt.Sprintf("forZones has %q twice, or an empty zone", zone)
		}
		if faults := validation.IsValidLabelValue(zone); len(faults) > 0 {
			return fmt.Sprintf("forZones %q: %s", zone, faults[0])
		}
	}
	return ""
}

// place is where traffic goes. Two endpoints at one place would be one to consumers,
// with two verdicts.
type place struct {
	address  netip.Addr
	protocol corev1.Protocol
	port     int32
}

func (e *endpoint) places() []place {
	places := make([]place, len(e.ports.ports))
	for i, port := range e.ports.ports {
		places[i] = placeOf(e.address, port)
	}
	return places
}

func placeOf(address netip.Addr, port discoveryv1.EndpointPort) place {
	return place{address: address, protocol: ptr.Deref(port.Protocol, corev1.ProtocolTCP), port: ptr.Deref(port.Port, 0)}
}

// duplicate finds an endpoint before this one at the same place; otherwise it takes the
// endpoint's places.
func duplicate(made *endpoint, taken map[place]int) *rejection {
	for _, port := range made.ports.ports {
		if first, ok := taken[placeOf(made.address, port)]; ok {
			return &rejection{farpointv1.DuplicateEndpointReason, fmt.Sprintf("has the address and port of spec.endpoints[%d]: take one of them out", first)}
		}
	}
	for _, port := range made.ports.ports {
		taken[placeOf(made.address, port)] = made.index
	}
	return nil
}

func endpointName(address string, ports *portSet) string {
	first := ports.first()
	name := net.JoinHostPort(address, strconv.Itoa(int(*first.Port)))
	if *first.Protocol != corev1.ProtocolTCP {
		name += "/" + string(*first.Protocol)
	}
	return name
}

// probeTargets are what the scheduler is to probe. The seeds are the verdicts to begin
// with where it knows nothing yet.
func (t targets) probeTargets(common settings, seeds *seeds) []probes.Target {
	list := make([]probes.Target, 0, len(t.accepted))
	for i := range t.accepted {
		endpoint := &t.accepted[i]
		if endpoint.spec.State == farpointv1.EndpointDisabled {
			continue
		}
		initial, ok := seeds.of(endpoint)
		if !ok {
			initial = common.initial
		}
		list = append(list, probes.Target{
			Key:        endpoint.name,
			Identity:   endpoint.identity,
			Prober:     endpoint.prober,
			Timing:     common.timing,
			Thresholds: common.thresholds,
			Initial:    probes.Seeded(initial),
			Private:    common.private,
		})
	}
	return list
}

// rejections describes what is set aside, for a condition's message.
func (t targets) rejections(spec *farpointv1.ExternalServiceSpec) (reason, message string) {
	const shown = 5
	indexes := slices.Sorted(maps.Keys(t.rejected))
	switch {
	case len(indexes) == 0 && t.slowed != "":
		return farpointv1.NotAllowedByPolicyReason, t.slowed
	case len(indexes) == 0:
		return "", ""
	}
	held := 0
	for _, endpoint := range t.accepted {
		if endpoint.held {
			held++
		}
	}
	parts := make([]string, 0, shown+1)
	for _, i := range indexes[:min(shown, len(indexes))] {
		parts = append(parts, fmt.Sprintf("spec.endpoints[%d] (%s): %s", i, spec.Endpoints[i].Address, t.rejected[i].message))
	}
	if more := len(indexes) - shown; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more, see status.endpoints", more))
	}
	summary := fmt.Sprintf("%d of %d endpoints set aside", len(indexes)-held, len(spec.Endpoints))
	if held > 0 {
		summary += fmt.Sprintf(", %d published as before", held)
	}
	message = summary + ": " + strings.Join(parts, "; ")
	if t.slowed != "" {
		message += ". Besides, " + t.slowed
	}
	return t.rejected[indexes[0]].reason, message
}

func sorted(words []string) []string {
	slices.Sort(words)
	return words
}

func sortedKeys[V any](from map[string]V) []string {
	return slices.Sorted(maps.Keys(from))
}
