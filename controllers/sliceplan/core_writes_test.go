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

package sliceplan_test

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// coreGroup are the endpoints and slices of one family, port and zone, as Kubernetes' own
// controller looks at them.
type coreGroup struct {
	ipv4 bool
	// unplaced are the endpoints that are in no slice yet.
	unplaced map[string]string
	// dirty and clean are the sizes of the slices that change and do not; emptied counts those
	// that lose all of their endpoints.
	dirty, clean []int
	emptied      int
}

// coreWrites is how many writes the rules of Kubernetes' own controller lead to
// (k8s.io/endpointslice reconciler.go, reconcileByPortMapping and finalize), computed from those
// rules alone, for slices with correct metadata.
func (m *simulation) coreWrites() int {
	count, creates, deletes := 0, map[bool]int{}, map[bool]int{}
	for _, group := range m.coreGroups() {
		updated, created := group.writes(m.max)
		count += updated
		creates[group.ipv4] += created
		deletes[group.ipv4] += group.emptied
	}
	for _, ipv4 := range []bool{false, true} { // one that is to be deleted is made another
		count += max(creates[ipv4], deletes[ipv4])
	}
	return count
}

// writes returns how many slices are updated, and how many more are needed.
func (g *coreGroup) writes(most int) (updated, created int) {
	left := len(g.unplaced)
	for _, size := range g.dirty {
		left -= min(left, most-size)
	}
	updated = len(g.dirty)
	for left > 0 {
		if slices.ContainsFunc(g.clean, func(size int) bool { return size+left <= most }) {
			updated, left = updated+1, 0
		} else {
			created++
			left -= min(left, most)
		}
	}
	return updated, created
}

// coreGroups compares the expected endpoints with the present slices.
func (m *simulation) coreGroups() map[string]*coreGroup {
	groups := map[string]*coreGroup{}
	of := func(address netip.Addr, port int32, zone string) *coreGroup {
		if m.options.GroupBy != farpointv1.GroupByZone {
			zone = ""
		}
		key := fmt.Sprint(address.Is4(), port, zone)
		if groups[key] == nil {
			groups[key] = &coreGroup{ipv4: address.Is4(), unplaced: map[string]string{}}
		}
		return groups[key]
	}
	expected := m.expectedStates()
	for _, e := range m.endpoints {
		of(netip.MustParseAddr(e.Address), e.port, e.Zone).unplaced[e.Address] = expected[fmt.Sprintf("%s %d", e.Address, e.port)]
	}
	for _, slice := range m.present {
		first := netip.MustParseAddr(slice.Endpoints[0].Addresses[0])
		group := of(first, *slice.Ports[0].Port, slice.Labels[corev1.LabelTopologyZone])
		kept, changed := 0, false
		for _, endpoint := range slice.Endpoints {
			address := endpoint.Addresses[0]
			want, ok := group.unplaced[address]
			delete(group.unplaced, address)
			if ok {
				kept++
			}
			changed = changed || !ok || want != saying(slice, &endpoint)
		}
		switch {
		case kept == 0:
			group.emptied++
		case changed:
			group.dirty = append(group.dirty, kept)
		default:
			group.clean = append(group.clean, kept)
		}
	}
	return groups
}
