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
	"hash/maphash"
	"iter"

	discoveryv1 "k8s.io/api/discovery/v1"

	"farpoint.dev/farpoint/controllers/endpoint"
)

// addressIndex finds endpoints by the text of their address. It is a hash table of indexes: for a
// thousand endpoints a map would take more memory than all that is written for one of them.
type addressIndex struct {
	endpoints []endpoint.Verdict
	seed      maphash.Seed
	// first is the first endpoint of each bucket, and next the one after each endpoint in
	// its bucket: its index and one more, 0 for none.
	first, next []int32
}

func newAddressIndex(endpoints []endpoint.Verdict) addressIndex {
	size := 1
	for size < len(endpoints) {
		size *= 2
	}
	index := addressIndex{endpoints: endpoints, seed: maphash.MakeSeed(), first: make([]int32, size), next: make([]int32, len(endpoints))}
	for i := len(endpoints) - 1; i >= 0; i-- { // so that those with one address are found in their order
		bucket := index.bucket(endpoints[i].Text)
		index.next[i], index.first[bucket] = index.first[bucket], int32(i+1)
	}
	return index
}

func (x *addressIndex) bucket(address string) uint64 {
	return maphash.String(x.seed, address) & uint64(len(x.first)-1)
}

// find yields the endpoints that have a published endpoint's address. There may be several, with
// different ports. An endpoint with more than one address was not published by the operator.
func (x *addressIndex) find(published *discoveryv1.Endpoint) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		if len(published.Addresses) != 1 {
			return
		}
		address := published.Addresses[0]
		for i := x.first[x.bucket(address)]; i > 0; i = x.next[i-1] {
			if x.endpoints[i-1].Text == address && !yield(i-1) {
				return
			}
		}
	}
}
