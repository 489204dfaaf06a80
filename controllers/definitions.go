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
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/policy"
)

// definition is the health check of an ExternalService as of one generation, ready to
// probe by.
type definition struct {
	generation int64
	// url is that of endpoints without one of their own.
	url   farpointv1.HealthCheckURL
	check farpointv1.HealthCheck
	// settings are made of the check and of what it refers to. err is what keeps the check
	// from being carried out, whatever it refers to; nil if nothing does.
	settings settings
	err      error
	compiled bool
	trust    certificates
}

// compile makes the settings of what the check refers to, unless that is what they are made
// of already.
func (d *definition) compile(trust certificates, credentials login) {
	same := d.trust.missing == trust.missing && d.trust.client == trust.client && string(d.trust.authorities) == string(trust.authorities)
	if !d.compiled || !same || d.settings.login.credentials != credentials.credentials {
		d.settings, d.err = newSettings(&farpointv1.ExternalServiceSpec{HealthCheck: d.check}, trust, credentials)
		d.compiled = true
	}
	d.trust = trust
	d.settings.login = credentials
}

// definitionHistory is what the definitions of one ExternalService were and are. Only its reconcile
// uses it.
type definitionHistory struct {
	// present is the definition of the latest generation, whether it is sound or not.
	present *definition
	// sound are the definitions by which endpoints are probed, or could be: the latest first,
	// which is present unless that has a fault.
	sound []*definition
	// probers are those of the last plan, which was made within these confines and by this
	// version of the egress policy.
	probers proberList
	within  *policy.Limits
	egress  uint64
}

// maxDefinitions bounds the definitions that are kept of one ExternalService.
const maxDefinitions = 8

// update brings the history up to an object. The inputs are what a health check refers to,
// which is to be read anew for one that has been edited.
func (h *definitionHistory) update(object *farpointv1.ExternalService, inputs func(check *farpointv1.HealthCheck, edited bool) (certificates, login)) {
	edited := h.present == nil || h.present.generation != object.Generation
	if edited && h.present != nil && h.present.url == object.Spec.HealthCheckURL && equality.Semantic.DeepEqual(h.present.check, object.Spec.HealthCheck) {
		h.present.generation = object.Generation
	} else if edited {
		h.present = &definition{generation: object.Generation, url: object.Spec.HealthCheckURL, check: *object.Spec.HealthCheck.DeepCopy()}
	}
	for i, each := range h.definitions() {
		each.compile(inputs(&each.check, edited && i == 0))
	}
	if h.present.err == nil && (len(h.sound) == 0 || h.sound[0] != h.present) {
		h.sound = slices.Insert(h.sound, 0, h.present)
	}
}

// definitions are present and the sound ones.
func (h *definitionHistory) definitions() []*definition {
	if len(h.sound) > 0 && h.sound[0] == h.present {
		return h.sound
	}
	return append([]*definition{h.present}, h.sound...)
}

// checks are the health checks of all definitions that are in use.
func (h *definitionHistory) checks() []*farpointv1.HealthCheck {
	var all []*farpointv1.HealthCheck
	for _, each := range h.definitions() {
		all = append(all, &each.check)
	}
	return all
}

// probing is what endpoints are probed by as it stands. Probers that were prepared within
// other confines, or by other rules of egress, are prepared anew.
func (h *definitionHistory) probing(within *policy.Limits, egress uint64) probing {
	if h.within != within || h.egress != egress {
		h.probers.forgetProbers()
	}
	h.within, h.egress = within, egress
	by := probing{sound: h.sound, before: &h.probers}
	if fault := h.fault(); fault != nil {
		by.fault = &endpoint.Rejection{Reason: fault.reason, Message: fault.message}
	}
	return by
}

// keep takes over how endpoints are probed now. Of the definitions it keeps the latest sound
// one and those that are in use.
func (h *definitionHistory) keep(planned *targets) {
	h.probers = planned.activeProbers()
	inUse := map[*definition]bool{}
	for i := range h.probers.list {
		inUse[h.probers.list[i].definition] = true
	}
	kept := h.sound[:0]
	for i, each := range h.sound {
		if i == 0 || inUse[each] && len(kept) < maxDefinitions {
			kept = append(kept, each)
		}
	}
	clear(h.sound[len(kept):])
	h.sound = kept
}

// fault is what is wrong with the health check as a whole, and by what endpoints are probed
// in the meantime; nil if nothing is.
func (h *definitionHistory) fault() *fault {
	switch {
	case h.present.err != nil:
		return &fault{reason: farpointv1.InvalidHealthCheckReason, message: h.present.err.Error() + h.meanwhile(h.sound)}
	case h.present.trust.missing:
		return &fault{farpointv1.CertificatesUnavailableReason, h.present.trust.fault + h.meanwhile(h.sound[1:]), true}
	case h.present.trust.fault != "":
		return &fault{farpointv1.CertificatesUnavailableReason, h.present.trust.fault, true}
	}
	return nil
}

// meanwhile says by which definition endpoints are probed that cannot be by the present
// one.
func (h *definitionHistory) meanwhile(sound []*definition) string {
	for _, each := range sound {
		if !each.trust.missing {
			return fmt.Sprintf("; endpoints are probed by the last valid health check, that of generation %d", each.generation)
		}
	}
	return "; no valid health check is known: published endpoints stay as they are, unless nothing accepts connections on their port"
}

// fault is something about an object as a whole that keeps it from being carried out.
type fault struct {
	reason, message string
	// awaited means that it may mend itself without an edit of the ExternalService.
	awaited bool
}
