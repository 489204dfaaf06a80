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
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
)

// Plan is what has to be written, in this order, so that no endpoint is missing in between: the
// updates that remove endpoints which move to another slice come last.
type Plan struct {
	Create, Update, Delete []*discoveryv1.EndpointSlice
	// ShrinkLast are the slices of those last updates, as they are now.
	ShrinkLast []*discoveryv1.EndpointSlice
	// Withheld are slices that are not created, because what they depend on is being deleted, and
	// the garbage collector would delete them with it. The slices that have their endpoints now
	// keep them.
	Withheld []*discoveryv1.EndpointSlice
	// Kept counts the slices after the plan.
	Kept int
}

// IsEmpty reports whether there is nothing to be written.
func (p *Plan) IsEmpty() bool { return len(p.Create)+len(p.Update)+len(p.Delete) == 0 }

// Result lists the slices after the plan, given the existing ones.
func (p *Plan) Result(existing []*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	replaced := make(map[string]bool, len(p.Update)+len(p.Delete))
	for _, slice := range slices.Concat(p.Update, p.Delete) {
		replaced[slice.Name] = true
	}
	all := slices.Concat(p.Create, p.Update)
	for _, slice := range existing {
		if !replaced[slice.Name] {
			all = append(all, slice)
		}
	}
	return all
}

// Wants is all that EndpointSlices are made from.
type Wants struct {
	Owner   *farpointv1.ExternalService
	Service *corev1.Service
	// Endpoints are to be published, each with its verdict.
	Endpoints []endpoint.Verdict
	// Hints are the hints that the endpoints get.
	Hints Hints
	// MaxEndpoints is the maximum number of endpoints in a slice.
	MaxEndpoints int
	// Trigger is when the change occurred that the slices publish. Slices that are written say
	// so; by itself it is no reason to write one. It is zero if that is not known.
	Trigger time.Time
}

// Make finds the fewest writes that lead from the existing slices to the desired ones, by the
// rules of Kubernetes' own controller (k8s.io/endpointslice reconciler.go): endpoints stay where
// they are; slices that must change anyway are filled first; nothing is moved for tidiness, since
// every change of a slice is sent to every node. It changes none of its arguments, and what it
// creates and updates shares no memory with them, which are the cache's, or with each other: a
// client decodes the API server's answer into what it has sent.
func Make(wants Wants, existing []*discoveryv1.EndpointSlice) Plan {
	planner := newPlanner(wants)
	planner.matchExisting(existing)
	planner.findUnplaced()
	for _, group := range planner.groups {
		planner.fill(group)
	}
	return planner.buildPlan(len(existing))
}

// planner plans the slices of one object. Its indexes of endpoints are those in
// wants.endpoints: it looks at a thousand of them for the sake of one that has changed, and
// builds only what is written.
type planner struct {
	wants    Wants
	metadata metadata
	groups   []*sliceGroup
	// groupOf is the index of each endpoint's group.
	groupOf []int32
	// byAddress finds endpoints.
	byAddress addressIndex
	// placed endpoints are in a slice; moved ones were in a slice that cannot keep them.
	placed, moved []bool
	// toDelete slices are of no use to any group.
	toDelete []*draft
	// state encodes the annotation with what conditions do not say.
	state slicestate.Encoder
}

// groupKey identifies what needs separate slices: a slice has one address type, one list of
// ports and, if the slices are grouped by zone, one zone.
type groupKey struct {
	addressType discoveryv1.AddressType
	ports       endpoint.PortsKey
	zone        string
}

// sliceGroup is what the slices of one group are to hold.
type sliceGroup struct {
	groupKey
	index  int32
	ports  *endpoint.PortSet
	labels map[string]string
	drafts []*draft
	// unplaced endpoints are in none of the drafts. With moves, some of them have been in
	// another slice.
	unplaced []int32
	moves    bool
}

// draft is a slice in the making.
type draft struct {
	group    *sliceGroup
	existing *discoveryv1.EndpointSlice // nil for a new one
	// endpoints are in the order of the existing slice; what is added comes last.
	endpoints []int32
	changed   bool
	// shrinks: an endpoint that it cannot keep has to move to another slice.
	shrinks bool
}

func newPlanner(wants Wants) *planner {
	n := len(wants.Endpoints)
	flags := make([]bool, 2*n)
	planner := &planner{wants: wants, metadata: newMetadata(wants), placed: flags[:n], moved: flags[n:]}
	planner.findGroups()
	planner.byAddress = newAddressIndex(wants.Endpoints)
	return planner
}

// findGroups finds the groups, in the order of the spec.
func (p *planner) findGroups() {
	p.groupOf = make([]int32, len(p.wants.Endpoints))
	byKey := map[groupKey]*sliceGroup{}
	var group *sliceGroup
	for i := range p.wants.Endpoints {
		e := p.wants.Endpoints[i].Endpoint
		key := groupKey{endpoint.AddressTypeOf(e), e.Ports.Key, p.metadata.zoneOf(e)}
		if group == nil || group.groupKey != key { // usually it is that of the one before
			if group = byKey[key]; group == nil {
				group = &sliceGroup{groupKey: key, index: int32(len(p.groups)), ports: e.Ports, labels: p.metadata.labelsFor(key.zone)}
				byKey[key] = group
				p.groups = append(p.groups, group)
			}
		}
		p.groupOf[i] = group.index
	}
}

// matchExisting leaves every endpoint in the slice where it is.
func (p *planner) matchExisting(existing []*discoveryv1.EndpointSlice) {
	byKey := make(map[groupKey]*sliceGroup, len(p.groups))
	for _, group := range p.groups {
		byKey[group.groupKey] = group
	}
	var strays []*discoveryv1.EndpointSlice
	for _, slice := range slices.SortedFunc(slices.Values(existing), ByName) {
		p.metadata.usedNames[slice.Name] = true
		group := byKey[groupKey{slice.AddressType, endpoint.PortsKeyOf(slice.Ports), p.metadata.zoneOfSlice(slice)}]
		if group == nil {
			strays = append(strays, slice)
			continue
		}
		group.drafts = append(group.drafts, p.keep(group, slice))
	}
	for _, slice := range strays {
		if reusing := p.reusableGroup(slice); reusing != nil {
			kept := p.keep(reusing, slice)
			kept.changed = true
			reusing.drafts = append(reusing.drafts, kept)
			continue
		}
		p.toDelete = append(p.toDelete, p.keep(nil, slice))
	}
}

// keep returns the draft with the endpoints that a slice can keep as one of the group's; none if
// the group is nil.
func (p *planner) keep(group *sliceGroup, slice *discoveryv1.EndpointSlice) *draft {
	kept := &draft{group: group, existing: slice}
	if group != nil {
		kept.changed = !p.metadata.equal(slice, group)
		kept.endpoints = make([]int32, 0, min(len(slice.Endpoints), p.wants.MaxEndpoints))
	}
	for i := range slice.Endpoints {
		present := &slice.Endpoints[i]
		index := p.findIn(group, present)
		if index < 0 || len(kept.endpoints) == p.wants.MaxEndpoints {
			kept.changed = true
			for elsewhere := range p.byAddress.find(present) {
				p.moved[elsewhere] = true
				kept.shrinks = true
			}
			continue
		}
		p.placed[index] = true
		kept.endpoints = append(kept.endpoints, index)
		kept.changed = kept.changed || !p.agrees(present, &p.wants.Endpoints[index])
	}
	if group != nil && !kept.changed { // otherwise it is written anyway
		kept.changed = string(p.stateOf(kept)) != slice.Annotations[farpointv1.SliceStateAnnotation]
	}
	return kept
}

// findIn returns the group's endpoint with this address, if it has not been found before;
// -1 for none.
func (p *planner) findIn(group *sliceGroup, present *discoveryv1.Endpoint) int32 {
	if group == nil {
		return -1
	}
	for index := range p.byAddress.find(present) {
		if p.groupOf[index] == group.index && !p.placed[index] {
			return index
		}
	}
	return -1
}

// reusableGroup returns the only group that has endpoints of a slice whose own group is gone, as
// when ports change: this group takes over the slice, and its endpoints stay in place. It returns
// nil if there is no such group, or more than one.
func (p *planner) reusableGroup(slice *discoveryv1.EndpointSlice) *sliceGroup {
	var reusing *sliceGroup
	for i := range slice.Endpoints {
		for index := range p.byAddress.find(&slice.Endpoints[i]) {
			group := p.groups[p.groupOf[index]]
			if reusing != nil && reusing != group || group.addressType != slice.AddressType {
				return nil
			}
			reusing = group
		}
	}
	return reusing
}

// stateOf returns the annotation of a draft with what its endpoints' conditions do not say, until
// the next call.
func (p *planner) stateOf(of *draft) []byte {
	return p.state.Encode(of.group.ports.Key, p.wants.Endpoints, of.endpoints, p.wants.Service.Spec.PublishNotReadyAddresses)
}

func (p *planner) findUnplaced() {
	for i, placed := range p.placed {
		if !placed {
			group := p.groups[p.groupOf[i]]
			group.unplaced = append(group.unplaced, int32(i))
			group.moves = group.moves || p.moved[i]
		}
	}
}

// fill finds a slice for each unplaced endpoint of a group.
func (p *planner) fill(group *sliceGroup) {
	for _, changed := range fullestFirst(group) {
		p.fillDraft(changed)
	}
	for len(group.unplaced) > 0 {
		target := p.bestFit(group)
		if target == nil {
			target = &draft{group: group}
			group.drafts = append(group.drafts, target)
		}
		p.fillDraft(target)
	}
}

// fullestFirst returns the drafts of a group that must be written anyway, emptied ones last. One
// that shrinks is written after those that gain, and takes in no endpoint that another one loses:
// the other could be written first, and the endpoint be missing in between.
func fullestFirst(group *sliceGroup) []*draft {
	var changed []*draft
	for _, draft := range group.drafts {
		if draft.changed && (!draft.shrinks || !group.moves) {
			changed = append(changed, draft)
		}
	}
	slices.SortStableFunc(changed, func(a, b *draft) int { return cmp.Compare(len(b.endpoints), len(a.endpoints)) })
	return changed
}

// bestFit returns the fullest unchanged draft that has room for all of the unplaced; nil if they
// fit into none. One creation is better than several updates.
func (p *planner) bestFit(group *sliceGroup) *draft {
	var best *draft
	for _, draft := range group.drafts {
		fits := !draft.changed && draft.existing != nil && len(draft.endpoints)+len(group.unplaced) <= p.wants.MaxEndpoints
		if fits && (best == nil || len(draft.endpoints) > len(best.endpoints)) {
			best = draft
		}
	}
	return best
}

// fillDraft puts as many of the unplaced into the draft as it has room for.
func (p *planner) fillDraft(target *draft) {
	unplaced := target.group.unplaced
	room := min(p.wants.MaxEndpoints-len(target.endpoints), len(unplaced))
	if room <= 0 {
		return
	}
	target.endpoints = append(target.endpoints, unplaced[:room]...)
	target.changed = true
	target.group.unplaced = unplaced[room:]
}

// buildPlan says what is to be done with each draft, given how many slices exist.
func (p *planner) buildPlan(existing int) Plan {
	p.reuse()
	var plan Plan
	var shrinking []*discoveryv1.EndpointSlice
	for _, group := range p.groups {
		for _, draft := range group.drafts {
			switch {
			case len(draft.endpoints) == 0: // it is to be deleted
			case draft.existing == nil && (p.wants.Service.DeletionTimestamp != nil || p.wants.Owner.DeletionTimestamp != nil):
				plan.Withheld = append(plan.Withheld, p.build(draft))
			case draft.existing == nil:
				plan.Create = append(plan.Create, p.build(draft))
			case draft.changed && draft.shrinks:
				shrinking = append(shrinking, p.build(draft))
				plan.ShrinkLast = append(plan.ShrinkLast, draft.existing)
			case draft.changed:
				plan.Update = append(plan.Update, p.build(draft))
			}
		}
	}
	plan.Update = append(plan.Update, shrinking...)
	for _, obsolete := range p.toDelete {
		plan.Delete = append(plan.Delete, obsolete.existing)
	}
	slices.SortFunc(plan.Delete, ByName)
	plan.Kept = existing + len(plan.Create) - len(plan.Delete)
	return plan
}

// reuse turns a deletion and a creation into one update, unless an endpoint could be missing
// until the next update.
func (p *planner) reuse() {
	var created []*draft
	for _, group := range p.groups {
		for _, draft := range group.drafts {
			switch {
			case draft.existing == nil:
				created = append(created, draft)
			case len(draft.endpoints) == 0:
				p.toDelete = append(p.toDelete, draft)
			}
		}
	}
	for _, fresh := range created {
		at := slices.IndexFunc(p.toDelete, func(obsolete *draft) bool {
			return obsolete.existing.AddressType == fresh.group.addressType && (!obsolete.shrinks || !fresh.group.moves)
		})
		if at >= 0 {
			fresh.existing, fresh.changed, fresh.shrinks = p.toDelete[at].existing, true, p.toDelete[at].shrinks
			p.toDelete = slices.Delete(p.toDelete, at, at+1)
		}
	}
}

// ByName orders slices by their names.
func ByName(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) }
