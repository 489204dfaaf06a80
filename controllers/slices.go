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
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes"
)

// slicePlan is what has to be written, in this order, so that no endpoint is missing
// in between.
type slicePlan struct {
	Create, Update, Delete []*discoveryv1.EndpointSlice
	// Kept counts the slices that there will be.
	Kept int
}

// sliceWants is all that EndpointSlices are made from.
type sliceWants struct {
	owner   *farpointv1.ExternalService
	service *corev1.Service
	// endpoints are to be published, each with its verdict.
	endpoints []verdict
	// maxEndpoints is the most that a slice may hold.
	maxEndpoints int
}

// verdict is an endpoint and what is known of it.
type verdict struct {
	*endpoint
	health probes.Health
}

// sliceGroup tells apart what must stand in slices of its own: a slice has one address
// type and one list of ports.
type sliceGroup struct {
	addressType discoveryv1.AddressType
	ports       portsKey
}

// planSlices finds the fewest writes that lead from the existing slices to the wanted
// ones, by the rules of Kubernetes' own controller (k8s.io/endpointslice
// reconciler.go): endpoints stay where they are; slices that must change anyway are
// filled first; nothing is moved for tidiness, since every change of a slice is sent to
// every node. It changes none of its arguments.
func planSlices(wants sliceWants, existing []*discoveryv1.EndpointSlice) slicePlan {
	planner := &slicePlanner{wants: wants, labels: sliceLabels(wants), annotations: sliceAnnotations(wants.owner), names: map[string]bool{}}
	groups := planner.groupExisting(existing)
	var plan slicePlan
	for _, group := range planner.groupWanted() {
		planner.fill(group, groups[group.sliceGroup], &plan)
		delete(groups, group.sliceGroup)
	}
	for _, unwanted := range groups {
		plan.Delete = append(plan.Delete, unwanted...)
	}
	slices.SortFunc(plan.Delete, byName)
	reuse(&plan)
	plan.Kept = len(existing) + len(plan.Create) - len(plan.Delete)
	return plan
}

type slicePlanner struct {
	wants               sliceWants
	labels, annotations map[string]string
	// names are taken.
	names map[string]bool
}

// wantedGroup is what the slices of one group are to hold, in the order of the spec.
type wantedGroup struct {
	sliceGroup
	ports     *portSet
	endpoints []discoveryv1.Endpoint
}

func (p *slicePlanner) groupWanted() []*wantedGroup {
	var groups []*wantedGroup
	byKey := map[sliceGroup]*wantedGroup{}
	for _, wanted := range p.wants.endpoints {
		key := sliceGroup{addressType(wanted.endpoint), wanted.ports.key}
		group, ok := byKey[key]
		if !ok {
			group = &wantedGroup{sliceGroup: key, ports: wanted.ports}
			byKey[key] = group
			groups = append(groups, group)
		}
		group.endpoints = append(group.endpoints, publish(wanted, p.wants.service.Spec.PublishNotReadyAddresses))
	}
	return groups
}

func (p *slicePlanner) groupExisting(existing []*discoveryv1.EndpointSlice) map[sliceGroup][]*discoveryv1.EndpointSlice {
	groups := map[sliceGroup][]*discoveryv1.EndpointSlice{}
	for _, slice := range slices.SortedFunc(slices.Values(existing), byName) {
		p.names[slice.Name] = true
		key := sliceGroup{slice.AddressType, portsKeyOf(slice.Ports)}
		groups[key] = append(groups[key], slice)
	}
	return groups
}

// draft is a slice in the making.
type draft struct {
	existing  *discoveryv1.EndpointSlice // nil for a new one
	endpoints []discoveryv1.Endpoint
	changed   bool
}

// fill plans the slices of one group.
func (p *slicePlanner) fill(group *wantedGroup, existing []*discoveryv1.EndpointSlice, plan *slicePlan) {
	drafts, homeless := p.keep(group, existing)
	for _, changed := range fullestFirst(drafts) {
		homeless = p.top(changed, homeless)
	}
	for len(homeless) > 0 {
		home := p.bestFit(drafts, len(homeless))
		if home == nil {
			home = &draft{}
			drafts = append(drafts, home)
		}
		homeless = p.top(home, homeless)
	}
	for _, draft := range drafts {
		p.settle(group, draft, plan)
	}
}

// keep leaves every wanted endpoint in the slice where it is, and returns the ones that
// are in none.
func (p *slicePlanner) keep(group *wantedGroup, existing []*discoveryv1.EndpointSlice) (drafts []*draft, homeless []discoveryv1.Endpoint) {
	wanted := make(map[string]*discoveryv1.Endpoint, len(group.endpoints))
	for i := range group.endpoints {
		wanted[group.endpoints[i].Addresses[0]] = &group.endpoints[i]
	}
	for _, slice := range existing {
		drafts = append(drafts, p.keepIn(slice, wanted))
	}
	for i := range group.endpoints {
		if wanted[group.endpoints[i].Addresses[0]] != nil {
			homeless = append(homeless, group.endpoints[i])
		}
	}
	return drafts, homeless
}

// keepIn takes out of wanted what it finds in the slice.
func (p *slicePlanner) keepIn(slice *discoveryv1.EndpointSlice, wanted map[string]*discoveryv1.Endpoint) *draft {
	kept := &draft{existing: slice, endpoints: make([]discoveryv1.Endpoint, 0, len(slice.Endpoints)), changed: !p.metadataEqual(slice)}
	for i := range slice.Endpoints {
		present := &slice.Endpoints[i]
		var want *discoveryv1.Endpoint
		if len(present.Addresses) == 1 {
			want = wanted[present.Addresses[0]]
		}
		if want == nil || len(kept.endpoints) == p.wants.maxEndpoints {
			kept.changed = true
			continue
		}
		delete(wanted, present.Addresses[0])
		if !endpointsEqual(present, want) {
			kept.changed = true
		}
		kept.endpoints = append(kept.endpoints, *want)
	}
	return kept
}

// fullestFirst are the drafts that must be written anyway and still hold something.
func fullestFirst(drafts []*draft) []*draft {
	var changed []*draft
	for _, draft := range drafts {
		if draft.changed && len(draft.endpoints) > 0 {
			changed = append(changed, draft)
		}
	}
	slices.SortStableFunc(changed, func(a, b *draft) int { return cmp.Compare(len(b.endpoints), len(a.endpoints)) })
	for _, draft := range drafts { // emptied ones are deleted if nothing is left for them
		if draft.changed && len(draft.endpoints) == 0 {
			changed = append(changed, draft)
		}
	}
	return changed
}

// bestFit is the unchanged draft that is fullest with all of the homeless in it; nil if
// they fit into none. One creation is better than several updates.
func (p *slicePlanner) bestFit(drafts []*draft, homeless int) *draft {
	var best *draft
	for _, draft := range drafts {
		fits := !draft.changed && draft.existing != nil && len(draft.endpoints)+homeless <= p.wants.maxEndpoints
		if fits && (best == nil || len(draft.endpoints) > len(best.endpoints)) {
			best = draft
		}
	}
	return best
}

// top puts as many of the homeless into the draft as it has room for and returns the
// others.
func (p *slicePlanner) top(home *draft, homeless []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	room := min(p.wants.maxEndpoints-len(home.endpoints), len(homeless))
	if room <= 0 {
		return homeless
	}
	home.endpoints = append(home.endpoints, homeless[:room]...)
	home.changed = true
	return homeless[room:]
}

// settle says what is to be done with the draft.
func (p *slicePlanner) settle(group *wantedGroup, draft *draft, plan *slicePlan) {
	switch {
	case draft.existing == nil:
		plan.Create = append(plan.Create, p.create(group, draft.endpoints))
	case len(draft.endpoints) == 0:
		plan.Delete = append(plan.Delete, draft.existing)
	case draft.changed:
		plan.Update = append(plan.Update, p.update(draft.existing, draft.endpoints))
	}
}

func (p *slicePlanner) create(group *wantedGroup, endpoints []discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name:            p.name(group.sliceGroup),
			Namespace:       p.wants.service.Namespace,
			Labels:          maps.Clone(p.labels),
			Annotations:     maps.Clone(p.annotations),
			OwnerReferences: []metav1.OwnerReference{ownerReference(p.wants.owner)},
		},
		AddressType: group.addressType,
		Ports:       group.ports.ports,
		Endpoints:   endpoints,
	}
}

func (p *slicePlanner) update(existing *discoveryv1.EndpointSlice, endpoints []discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	updated := *existing // the resource version comes along, so that nothing newer is overwritten
	updated.Labels = maps.Clone(p.labels)
	updated.Annotations = maps.Clone(p.annotations)
	updated.OwnerReferences = []metav1.OwnerReference{ownerReference(p.wants.owner)}
	updated.Endpoints = endpoints
	return &updated
}

func (p *slicePlanner) metadataEqual(existing *discoveryv1.EndpointSlice) bool {
	return maps.Equal(existing.Labels, p.labels) &&
		maps.Equal(existing.Annotations, p.annotations) &&
		equality.Semantic.DeepEqual(existing.OwnerReferences, []metav1.OwnerReference{ownerReference(p.wants.owner)})
}

// name is the first free one of its group. It depends on nothing but what there is, so
// that a plan made from a stale cache creates no duplicate: the API server refuses the
// name.
func (p *slicePlanner) name(group sliceGroup) string {
	digest := fnv.New32a()
	fmt.Fprintf(digest, "%s/%s %s %s", p.wants.owner.Namespace, p.wants.owner.Name, group.addressType, group.ports)
	for ordinal := 0; ; ordinal++ {
		name := fmt.Sprintf("%s-%08x-%d", p.wants.owner.Name, digest.Sum32(), ordinal)
		if !p.names[name] {
			p.names[name] = true
			return name
		}
	}
}

// reuse turns a deletion and a creation into one update, as when ports change.
func reuse(plan *slicePlan) {
	var created []*discoveryv1.EndpointSlice
	for _, create := range plan.Create {
		at := slices.IndexFunc(plan.Delete, func(unwanted *discoveryv1.EndpointSlice) bool {
			return unwanted.AddressType == create.AddressType
		})
		if at < 0 {
			created = append(created, create)
			continue
		}
		updated := *plan.Delete[at]
		updated.Labels, updated.Annotations, updated.OwnerReferences = create.Labels, create.Annotations, create.OwnerReferences
		updated.Ports, updated.Endpoints = create.Ports, create.Endpoints
		plan.Update = append(plan.Update, &updated)
		plan.Delete = slices.Delete(plan.Delete, at, at+1)
	}
	plan.Create = created
}

// publish says of an endpoint what consumers are to know. All three conditions are
// always there, since nil means different things to different consumers.
func publish(wanted verdict, publishNotReady bool) discoveryv1.Endpoint {
	spec := wanted.spec
	serving := wanted.health.State == probes.StateHealthy && spec.State != farpointv1.EndpointDisabled
	terminating := spec.State == farpointv1.EndpointDraining
	ready := serving && !terminating || publishNotReady && spec.State != farpointv1.EndpointDisabled
	return discoveryv1.Endpoint{
		Addresses:  []string{wanted.address.String()},
		Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating},
		Hostname:   nonEmpty(spec.Hostname),
		NodeName:   nonEmpty(spec.NodeName),
		Zone:       nonEmpty(spec.Zone),
	}
}

func addressType(of *endpoint) discoveryv1.AddressType {
	if of.address.Is4() {
		return discoveryv1.AddressTypeIPv4
	}
	return discoveryv1.AddressTypeIPv6
}

// endpointsEqual compares all that is ever set, and finds what somebody else has set.
func endpointsEqual(a, b *discoveryv1.Endpoint) bool {
	return slices.Equal(a.Addresses, b.Addresses) &&
		ptr.Equal(a.Conditions.Ready, b.Conditions.Ready) &&
		ptr.Equal(a.Conditions.Serving, b.Conditions.Serving) &&
		ptr.Equal(a.Conditions.Terminating, b.Conditions.Terminating) &&
		ptr.Equal(a.Hostname, b.Hostname) &&
		ptr.Equal(a.NodeName, b.NodeName) &&
		ptr.Equal(a.Zone, b.Zone) &&
		ptr.Equal(a.TargetRef, b.TargetRef) &&
		equality.Semantic.DeepEqual(a.Hints, b.Hints)
}

// sliceLabels are the Service's labels, as Kubernetes' own controller copies them, then
// the user's, then the ones that make consumers and us find the slice.
func sliceLabels(wants sliceWants) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, wants.service.Labels)
	if options := wants.owner.Spec.EndpointSlices; options != nil {
		for key, value := range options.Labels {
			labels[key] = string(value)
		}
	}
	delete(labels, corev1.IsHeadlessService)
	if headless(wants.service.Spec.ClusterIP) {
		labels[corev1.IsHeadlessService] = ""
	}
	labels[discoveryv1.LabelServiceName] = wants.service.Name
	labels[discoveryv1.LabelManagedBy] = farpointv1.ManagedBy
	labels[farpointv1.OwnerLabel] = wants.owner.Name
	return labels
}

func sliceAnnotations(owner *farpointv1.ExternalService) map[string]string {
	if owner.Spec.EndpointSlices == nil || len(owner.Spec.EndpointSlices.Annotations) == 0 {
		return nil
	}
	annotations := make(map[string]string, len(owner.Spec.EndpointSlices.Annotations))
	for key, value := range owner.Spec.EndpointSlices.Annotations {
		annotations[key] = string(value)
	}
	return annotations
}

func byName(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) }

func nonEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
