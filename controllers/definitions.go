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
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
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
	uid types.UID
	// present is the definition of the latest generation, whether it is sound or not.
	present *definition
	// sound are the definitions by which endpoints are probed, or could be: the latest first,
	// which is present unless that has a fault.
	sound      []*definition
	references referenceSet
	// probers are those of the last plan, which was made within these confines and by this
	// version of the egress policy.
	probers proberList
	within  *confines
	egress  uint64
}

// maxDefinitions bounds the definitions that are kept of one ExternalService.
const maxDefinitions = 8

// update brings the history up to an object. An edit has what it refers to read again.
func (h *definitionHistory) update(ctx context.Context, live client.Reader, object *farpointv1.ExternalService, now time.Time, grace time.Duration) {
	edited := h.present == nil || h.present.generation != object.Generation
	if edited && h.present != nil && h.present.url == object.Spec.HealthCheckURL && equality.Semantic.DeepEqual(h.present.check, object.Spec.HealthCheck) {
		h.present.generation = object.Generation
	} else if edited {
		h.present = &definition{generation: object.Generation, url: object.Spec.HealthCheckURL, check: *object.Spec.HealthCheck.DeepCopy()}
	}
	reader := referenceReader{live: live, namespace: object.Namespace}
	used := map[reference]bool{}
	for i, each := range h.definitions() {
		h.references.read(ctx, reader, &each.check, now, edited && i == 0)
		each.compile(h.references.inputs(&each.check, now, grace))
		for _, reference := range referencesOf(&each.check) {
			used[reference] = true
		}
	}
	for reference := range h.references {
		if !used[reference] {
			delete(h.references, reference)
		}
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

// probing is what endpoints are probed by as it stands. Probers that were prepared within
// other confines, or by other rules of egress, are prepared anew.
func (h *definitionHistory) probing(within *confines, egress uint64) probing {
	if h.within != within || h.egress != egress {
		h.probers.forgetProbers()
	}
	h.within, h.egress = within, egress
	by := probing{sound: h.sound, before: &h.probers}
	if fault := h.fault(); fault != nil {
		by.fault = &rejection{fault.reason, fault.message}
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

// definitions keeps the history of each ExternalService.
type definitions struct {
	// grace is for how long a credential or client key is used that has been removed.
	grace time.Duration
	// mu guards what follows. Nothing waits while holding it.
	mu  sync.Mutex
	all map[probes.Owner]*definitionHistory
}

func newDefinitions(grace time.Duration) *definitions {
	return &definitions{grace: grace, all: map[probes.Owner]*definitionHistory{}}
}

// of returns the history of an object, which begins anew when it is created anew.
func (d *definitions) of(owner probes.Owner, uid types.UID) *definitionHistory {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.all[owner]
	if known == nil || known.uid != uid {
		known = &definitionHistory{uid: uid, references: referenceSet{}}
		d.all[owner] = known
	}
	return known
}

// forget is called for an object that is gone.
func (d *definitions) forget(owner probes.Owner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.all, owner)
}
