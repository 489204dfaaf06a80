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

package targets

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/policy"
	"farpoint.dev/farpoint/controllers/slicestate"
)

// Definition is the health check of an ExternalService as of one generation, ready to
// probe by.
type Definition struct {
	generation int64
	// Url is for endpoints without one of their own.
	Url   farpointv1.HealthCheckURL
	check farpointv1.HealthCheck
	// Settings are made of the check and of what it refers to. err is what keeps the check from
	// being made, whatever it refers to; nil if nothing does.
	Settings Settings
	err      error
	compiled bool
	trust    Certificates
}

// compile makes the settings of what the check refers to, and reports whether anything changed.
func (d *Definition) compile(trust Certificates, credentials Login) (changed bool) {
	sameTrust := d.trust.Unavailable == trust.Unavailable && d.trust.Client == trust.Client && string(d.trust.Authorities) == string(trust.Authorities)
	changed = !d.compiled || !sameTrust || d.trust.Fault != trust.Fault || d.Settings.login != credentials
	if !d.compiled || !sameTrust || d.Settings.login.Credentials != credentials.Credentials {
		d.Settings, d.err = NewSettings(&farpointv1.ExternalServiceSpec{HealthCheck: d.check}, trust, credentials)
		d.compiled = true
	}
	d.trust = trust
	d.Settings.login = credentials
	return changed
}

// History is what the definitions of one ExternalService were and are. Only its reconcile
// uses it.
type History struct {
	// present is the definition of the latest generation, whether it is sound or not.
	present *Definition
	// sound are the definitions by which endpoints are probed, or could be: the latest first,
	// which is present unless that has a fault.
	sound []*Definition
	// targets are those of the last plan, and probers the ones that they are probed by.
	targets *Targets
	inputs  inputs
	probers proberList
}

// inputs are what targets are compiled from, besides the definitions.
type inputs struct {
	generation int64
	limits     *policy.Limits
	egress     uint64
	room       int
	ports      []corev1.ServicePort
	names      *Expansion
	// ended counts the states of endpoints that have ended by themselves.
	ended int
}

func (i inputs) equal(other inputs) bool {
	return i.generation == other.generation && i.limits == other.limits && i.egress == other.egress && i.room == other.room && i.ended == other.ended &&
		equality.Semantic.DeepEqual(i.ports, other.ports) && i.names.sameEndpoints(other.names)
}

// maxDefinitions bounds the definitions that are kept of one ExternalService.
const maxDefinitions = 8

// Update brings the history up to date with an object. The inputs are what a health check refers
// to, which is read again for one that has been edited.
func (h *History) Update(object *farpointv1.ExternalService, inputs func(check *farpointv1.HealthCheck, edited bool) (Certificates, Login)) {
	edited := h.present == nil || h.present.generation != object.Generation
	if edited && h.present != nil && h.present.Url == object.Spec.HealthCheckURL && equality.Semantic.DeepEqual(h.present.check, object.Spec.HealthCheck) {
		h.present.generation = object.Generation
	} else if edited {
		h.present = &Definition{generation: object.Generation, Url: object.Spec.HealthCheckURL, check: *object.Spec.HealthCheck.DeepCopy()}
	}
	for i, definition := range h.definitions() {
		if definition.compile(inputs(&definition.check, edited && i == 0)) {
			h.targets = nil
		}
	}
	if h.present.err == nil && (len(h.sound) == 0 || h.sound[0] != h.present) {
		h.sound = slices.Insert(h.sound, 0, h.present)
	}
}

// definitions are present and the sound ones.
func (h *History) definitions() []*Definition {
	if len(h.sound) > 0 && h.sound[0] == h.present {
		return h.sound
	}
	return append([]*Definition{h.present}, h.sound...)
}

// HasProbers reports whether endpoints have been probed by any of the definitions.
func (h *History) HasProbers() bool { return len(h.probers.List) > 0 }

// Checks are the health checks of all definitions that are in use.
func (h *History) Checks() []*farpointv1.HealthCheck {
	var all []*farpointv1.HealthCheck
	for _, definition := range h.definitions() {
		all = append(all, &definition.check)
	}
	return all
}

// Targets returns the targets of the present generation. They are compiled again only when
// something that they depend on has changed: a transition compiles nothing. Probers that were
// prepared within other limits, or by other rules of egress, are prepared again.
func (h *History) Targets(planner Planner, names *Expansion, ports []corev1.ServicePort, prior *slicestate.Prior) Targets {
	from := inputs{h.present.generation, planner.limits, planner.Egress.Version(), planner.room, ports, names, endedStates(names.Spec, planner.now)}
	if h.targets != nil && h.inputs.equal(from) {
		reused := *h.targets
		reused.Names = names // which says since when a name server does not answer
		return reused
	}
	if h.inputs.limits != from.limits || h.inputs.egress != from.egress {
		h.probers.ForgetProbers()
	}
	by := Probing{Sound: h.sound, Before: &h.probers}
	if fault := h.Fault(); fault != nil {
		by.Fault = &endpoint.Rejection{Reason: fault.Reason, Message: fault.Message}
	}
	compiled := planner.Plan(names, ports, by, prior)
	h.keep(&compiled)
	h.inputs, h.targets = from, nil
	if by.Fault == nil && !compiled.dependsOnPrior {
		h.targets = &compiled
	}
	return compiled
}

// keep remembers how endpoints are probed now. Of the definitions it keeps the latest sound one
// and those that are in use.
func (h *History) keep(planned *Targets) {
	h.probers = planned.ActiveProbers()
	inUse := map[*Definition]bool{}
	for i := range h.probers.List {
		inUse[h.probers.List[i].definition] = true
	}
	kept := h.sound[:0]
	for i, definition := range h.sound {
		if i == 0 || inUse[definition] && len(kept) < maxDefinitions {
			kept = append(kept, definition)
		}
	}
	clear(h.sound[len(kept):])
	h.sound = kept
}

// Fault returns what is wrong with the health check as a whole, and by what endpoints are probed
// in the meantime; nil if nothing is.
func (h *History) Fault() *Fault {
	switch {
	case h.present.err != nil:
		return &Fault{Reason: farpointv1.InvalidHealthCheckReason, Message: h.present.err.Error() + h.meanwhile(h.sound)}
	case h.present.trust.Unavailable:
		return &Fault{farpointv1.CertificatesUnavailableReason, h.present.trust.Fault + h.meanwhile(h.sound[1:]), true}
	case h.present.trust.Fault != "":
		return &Fault{farpointv1.CertificatesUnavailableReason, h.present.trust.Fault, true}
	}
	return nil
}

// meanwhile says by which definition endpoints are probed that cannot be probed by the present
// one.
func (h *History) meanwhile(sound []*Definition) string {
	for _, definition := range sound {
		if !definition.trust.Unavailable {
			return fmt.Sprintf("; endpoints are probed by the last valid health check, that of generation %d", definition.generation)
		}
	}
	return "; no valid health check is known: published endpoints stay as they are, unless nothing accepts connections on their port"
}

// Fault is a fault of an object as a whole, which keeps it from being Ready.
type Fault struct {
	Reason, Message string
	// Awaited means that it may resolve itself without an edit of the ExternalService.
	Awaited bool
}
