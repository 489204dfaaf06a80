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
	"encoding/json"
	"slices"
	"strconv"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes"
)

// sliceState is what the annotation [farpointv1.SliceStateAnnotation] of an EndpointSlice
// says about the endpoints in it: what a restarted operator has to know and cannot read
// from their conditions. It speaks only of endpoints of the slice, so that a change of one
// of them writes this slice and no other, and it depends on nothing but what is published,
// so that it stands still while nothing changes.
type sliceState struct {
	Version int `json:"version"`
	// Sum is a checksum of the ports and addresses that the operator has written. An
	// endpoint beside the spec in a slice with another sum may be somebody else's.
	Sum       string          `json:"sum"`
	Endpoints []hiddenVerdict `json:"endpoints,omitempty"`
	Drains    []drainEnd      `json:"drains,omitempty"`
	Names     []nameOrigin    `json:"names,omitempty"`
}

// hiddenVerdict is a verdict that the conditions of endpoints do not imply.
type hiddenVerdict struct {
	// Role is Standby or Disabled; empty for endpoints in use.
	Role string `json:"role,omitempty"`
	// Health is the verdict, and Reason the one with which it was first written. Both are
	// empty for disabled endpoints, which are not probed.
	Health    string   `json:"health,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Addresses []string `json:"addresses"`
}

// drainEnd is when endpoints go that have left the spec.
type drainEnd struct {
	Until     time.Time `json:"until"`
	Addresses []string  `json:"addresses"`
}

// nameOrigin is a DNS name of the spec that led to endpoints.
type nameOrigin struct {
	// Name is the address in the spec, and Target the host if SRV records name one, with
	// Tier for their priority.
	Name      string   `json:"name"`
	Target    string   `json:"target,omitempty"`
	Tier      int32    `json:"tier,omitempty"`
	Addresses []string `json:"addresses"`
}

const (
	sliceStateVersion = 1
	// maxSliceState is the most bytes of the annotation: half of what the API server allows
	// for all annotations of an object. 1,000 IP addresses in each of its three lists fit. What
	// does not, such as a thousand DNS names of 200 bytes each, is left out.
	maxSliceState = 128 << 10

	standbyWord, disabledWord = "Standby", "Disabled"
)

// The annotation of a slice whose conditions say everything consists of these and the sum.
const sliceStateStart, sliceStateEnd = `{"version":1,"sum":"`, `"}`

// sumLength is that of [sliceState.Sum].
const sumLength = 16

// parseSliceState reads the annotation of a slice; false if it is missing, or nothing that
// this version of the operator has written.
func parseSliceState(text string) (sliceState, bool) {
	if len(text) == len(sliceStateStart)+sumLength+len(sliceStateEnd) && text[:len(sliceStateStart)] == sliceStateStart && text[len(sliceStateStart)+sumLength:] == sliceStateEnd {
		return sliceState{Version: sliceStateVersion, Sum: text[len(sliceStateStart):][:sumLength]}, true
	}
	var state sliceState
	if text == "" || len(text) > maxSliceState || json.Unmarshal([]byte(text), &state) != nil || state.Version != sliceStateVersion {
		return sliceState{}, false
	}
	return state, true
}

// sumOf returns the checksum of what a slice holds, in whatever order: the sum of the hashes
// (FNV-1a) of the ports and of each address.
func sumOf(ports endpoint.PortsKey, n int, address func(int) string) uint64 {
	sum := hashOf(string(ports))
	for i := range n {
		sum += hashOf(address(i))
	}
	return sum
}

func hashOf(text string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	sum := uint64(offset)
	for i := range len(text) {
		sum = (sum ^ uint64(text[i])) * prime
	}
	return sum
}

// isAsWritten reports whether a slice holds the endpoints and ports that the operator has
// written, and none that somebody has added.
func isAsWritten(slice *discoveryv1.EndpointSlice) bool {
	state, ok := parseSliceState(slice.Annotations[farpointv1.SliceStateAnnotation])
	if !ok {
		return false
	}
	return state.Sum == sumOfSlice(slice)
}

// sumOfSlice returns what [sliceState.Sum] is for what a slice holds.
func sumOfSlice(slice *discoveryv1.EndpointSlice) string {
	return string(appendSum(nil, sumOf(endpoint.PortsKeyOf(slice.Ports), len(slice.Endpoints), func(i int) string {
		if len(slice.Endpoints[i].Addresses) != 1 {
			return ""
		}
		return slice.Endpoints[i].Addresses[0]
	})))
}

func appendSum(to []byte, sum uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		to = append(to, digits[sum>>shift&15])
	}
	return to
}

// hiddenKey tells the entries of [sliceState.Endpoints] apart.
type hiddenKey struct {
	role   endpoint.Role
	state  probes.State
	reason string
}

// hiddenOf is what the conditions of a published endpoint do not imply; false if they imply
// everything.
func hiddenOf(v *endpoint.Verdict, publishNotReady bool) (hiddenKey, bool) {
	key := hiddenKey{role: endpoint.InUse, state: v.Health.State}
	switch v.Role {
	case endpoint.Disabled:
		return hiddenKey{role: endpoint.Disabled}, true
	case endpoint.Standby:
		key.role = endpoint.Standby
	default:
		if impliedState(v.Conditions(publishNotReady)) == key.state {
			return key, false
		}
	}
	if key.state != probes.StateHealthy {
		// The reason that is written already stays: another one is no reason to write.
		if key.reason = v.WrittenReason; key.reason == "" {
			key.reason = v.Health.Cause.Reason.String()
		}
	}
	return key, true
}

// impliedState is the verdict on an endpoint of which a slice says no more than conditions.
func impliedState(conditions endpoint.Conditions) probes.State {
	if conditions.Serving {
		return probes.StateHealthy
	}
	return probes.StateUnhealthy
}

// originKey tells the entries of [sliceState.Names] apart.
type originKey struct {
	name, target string
	tier         int32
}

// sliceStateEncoder writes the annotation into a buffer that serves for all slices of a
// plan, since it is mostly compared and thrown away.
type sliceStateEncoder struct {
	text   []byte
	hidden []hiddenKey
	drains []time.Time
	names  []originKey
}

// encode returns the annotation of a slice with these endpoints, until the next call.
func (e *sliceStateEncoder) encode(ports endpoint.PortsKey, endpoints []endpoint.Verdict, indexes []int32, publishNotReady bool) []byte {
	at := func(i int) *endpoint.Verdict { return &endpoints[indexes[i]] }
	sum := sumOf(ports, len(indexes), func(i int) string { return at(i).Text })
	e.text = append(appendSum(append(e.text[:0], sliceStateStart...), sum), '"')
	e.collect(len(indexes), at, publishNotReady)
	writeEntries(e, "endpoints", e.hidden, appendHidden, len(indexes), at, func(v *endpoint.Verdict, key hiddenKey) bool {
		own, ok := hiddenOf(v, publishNotReady)
		return ok && own == key
	})
	writeEntries(e, "drains", e.drains, appendDrain, len(indexes), at, func(v *endpoint.Verdict, until time.Time) bool { return v.DrainUntil.Equal(until) })
	writeEntries(e, "names", e.names, appendOrigin, len(indexes), at, func(v *endpoint.Verdict, key originKey) bool {
		own, ok := originOf(v)
		return ok && own == key
	})
	e.text = append(e.text, '}')
	return e.text
}

// collect finds the entries that there are, in the order of the endpoints.
func (e *sliceStateEncoder) collect(n int, at func(int) *endpoint.Verdict, publishNotReady bool) {
	e.hidden, e.drains, e.names = e.hidden[:0], e.drains[:0], e.names[:0]
	for i := range n {
		v := at(i)
		if key, ok := hiddenOf(v, publishNotReady); ok && !slices.Contains(e.hidden, key) {
			e.hidden = append(e.hidden, key)
		}
		if until := v.DrainUntil; !until.IsZero() && !slices.ContainsFunc(e.drains, until.Equal) {
			e.drains = append(e.drains, until)
		}
		if key, ok := originOf(v); ok && !slices.Contains(e.names, key) {
			e.names = append(e.names, key)
		}
	}
}

// writeEntries appends a list with an entry for each key, which has the addresses of the
// endpoints that belong to it.
func writeEntries[K any](e *sliceStateEncoder, list string, keys []K, appendKey func([]byte, K) []byte, n int, at func(int) *endpoint.Verdict, belongs func(*endpoint.Verdict, K) bool) {
	const room = 1 << 10 // for what ends the text, and a key: names have up to 253 bytes
	if len(keys) == 0 || len(e.text) > maxSliceState-2*room {
		return
	}
	e.text = append(append(append(e.text, `,"`...), list...), `":[`...)
	for k, key := range keys {
		if len(e.text) > maxSliceState-2*room {
			break
		}
		if k > 0 {
			e.text = append(e.text, ',')
		}
		e.text = append(appendKey(append(e.text, '{'), key), `"addresses":[`...)
		first := true
		for i := range n {
			v := at(i)
			if !belongs(v, key) || len(e.text)+len(v.Text) > maxSliceState-room {
				continue
			}
			if !first {
				e.text = append(e.text, ',')
			}
			first = false
			e.text = append(append(append(e.text, '"'), v.Text...), '"') // an IP address or a valid DNS name
		}
		e.text = append(e.text, "]}"...)
	}
	e.text = append(e.text, ']')
}

func appendHidden(to []byte, key hiddenKey) []byte {
	word := func(name, value string) {
		if value != "" {
			to = append(append(append(append(append(to, '"'), name...), `":"`...), value...), `",`...)
		}
	}
	switch key.role {
	case endpoint.Disabled:
		word("role", disabledWord)
		return to
	case endpoint.Standby:
		word("role", standbyWord)
	}
	word("health", string(endpoint.HealthOf(key.state)))
	word("reason", key.reason)
	return to
}

func appendDrain(to []byte, until time.Time) []byte {
	to = until.UTC().AppendFormat(append(to, `"until":"`...), time.RFC3339)
	return append(to, `",`...)
}

func appendOrigin(to []byte, key originKey) []byte {
	text := func(name, value string) {
		quoted, err := json.Marshal(value)
		if err == nil { // as it always is for a string
			to = append(append(append(append(append(to, '"'), name...), `":`...), quoted...), ',')
		}
	}
	text("name", key.name)
	if key.target != "" {
		text("target", key.target)
	}
	if key.tier != 0 {
		to = append(strconv.AppendInt(append(to, `"tier":`...), int64(key.tier), 10), ',')
	}
	return to
}

// originOf is the DNS name that led to an endpoint; false if none did, or if the name itself
// is published and says as much.
func originOf(v *endpoint.Verdict) (originKey, bool) {
	from := v.Resolved
	if from == nil || !v.Address.IsValid() && from.Target == "" {
		return originKey{}, false
	}
	key := originKey{name: from.Address, target: from.Target}
	if from.Target != "" {
		key.tier = v.Spec.Priority
	}
	return key, true
}
