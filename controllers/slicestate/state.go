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

package slicestate

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes/health"
)

// State is what the annotation [farpointv1.SliceStateAnnotation] of an EndpointSlice says about
// the endpoints in it: what a restarted operator has to know and cannot read from their
// conditions. It covers only endpoints of the slice, so that a change of one of them writes this
// slice and no other, and it depends only on what is published, so that it stays the same while
// nothing changes.
type State struct {
	Version int `json:"version"`
	// Sum is a checksum of the ports and addresses that the operator has written. In a slice with
	// another sum, an endpoint that is not in the spec may be somebody else's.
	Sum       string          `json:"sum"`
	Endpoints []HiddenVerdict `json:"endpoints,omitempty"`
	Drains    []DrainEnd      `json:"drains,omitempty"`
	Names     []NameOrigin    `json:"names,omitempty"`
}

// HiddenVerdict is a verdict that the conditions of endpoints do not imply.
type HiddenVerdict struct {
	// Role is Standby or Disabled; empty for endpoints in use.
	Role string `json:"role,omitempty"`
	// Health is the verdict, and Reason the one with which it was first written. Both are
	// empty for disabled endpoints, which are not probed.
	Health    string   `json:"health,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Addresses []string `json:"addresses"`
}

// DrainEnd is when endpoints that have left the spec are removed.
type DrainEnd struct {
	Until     time.Time `json:"until"`
	Addresses []string  `json:"addresses"`
}

// NameOrigin is a DNS name of the spec that led to endpoints.
type NameOrigin struct {
	// Name is the address in the spec, and Target the host if SRV records name one, with
	// Tier for their priority.
	Name      string   `json:"name"`
	Target    string   `json:"target,omitempty"`
	Tier      int32    `json:"tier,omitempty"`
	Addresses []string `json:"addresses"`
}

const (
	// Version is that of the annotation's format.
	Version = 1
	// MaxLength is the maximum length of the annotation in bytes: half of what the API server
	// allows for all annotations of an object. 1,000 IP addresses in each of its three lists fit.
	// What does not, such as a thousand DNS names of 200 bytes each, is left out.
	MaxLength = 128 << 10

	// StandbyWord is the role of endpoints that stand by.
	StandbyWord = "Standby"
	// DisabledWord is the role of endpoints that get no traffic.
	DisabledWord = "Disabled"
)

// The annotation of a slice whose conditions say everything consists of these and the sum.
const sliceStateStart, sliceStateEnd = `{"version":1,"sum":"`, `"}`

// sumLength is the length of [State.Sum].
const sumLength = 16

// Parse reads the annotation of a slice; false if it is missing, or nothing that
// this version of the operator has written.
func Parse(text string) (State, bool) {
	if len(text) == len(sliceStateStart)+sumLength+len(sliceStateEnd) && text[:len(sliceStateStart)] == sliceStateStart && text[len(sliceStateStart)+sumLength:] == sliceStateEnd {
		return State{Version: Version, Sum: text[len(sliceStateStart):][:sumLength]}, true
	}
	var state State
	if text == "" || len(text) > MaxLength || json.Unmarshal([]byte(text), &state) != nil || state.Version != Version {
		return State{}, false
	}
	return state, true
}

// checksum returns the checksum of what a slice holds, in whatever order: the sum of the hashes
// (FNV-1a) of the ports and of each address.
func checksum(ports endpoint.PortsKey, n int, address func(int) string) uint64 {
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

// IsAsWritten reports whether a slice holds the endpoints and ports that the operator has
// written, and none that somebody has added.
func IsAsWritten(slice *discoveryv1.EndpointSlice) bool {
	state, ok := Parse(slice.Annotations[farpointv1.SliceStateAnnotation])
	if !ok {
		return false
	}
	return state.Sum == SumOf(slice)
}

// SumOf returns the [State.Sum] of what a slice holds.
func SumOf(slice *discoveryv1.EndpointSlice) string {
	return string(appendSum(nil, checksum(endpoint.PortsKeyOf(slice.Ports), len(slice.Endpoints), func(i int) string {
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

// hiddenKey identifies an entry of [State.Endpoints].
type hiddenKey struct {
	role   endpoint.Role
	state  health.State
	reason string
}

// hiddenOf returns what the conditions of a published endpoint do not imply; false if they imply
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
	if key.state != health.StateHealthy {
		// The reason that is written already stays: another one is no reason to write.
		if key.reason = v.WrittenReason; key.reason == "" {
			key.reason = v.Health.Cause.Reason.String()
		}
	}
	return key, true
}

// impliedState returns the verdict on an endpoint of which a slice says no more than conditions.
func impliedState(conditions endpoint.Conditions) health.State {
	if conditions.Serving {
		return health.StateHealthy
	}
	return health.StateUnhealthy
}

// Origin identifies an entry of [State.Names].
type Origin struct {
	Name, Target string
	Tier         int32
}

// Encoder writes the annotation into a buffer that serves for all slices of a
// plan, since it is mostly compared and thrown away.
type Encoder struct {
	text   []byte
	hidden []hiddenKey
	drains []time.Time
	names  []Origin
}

// Encode returns the annotation of a slice with these endpoints, until the next call.
func (e *Encoder) Encode(ports endpoint.PortsKey, endpoints []endpoint.Verdict, indexes []int32, publishNotReady bool) []byte {
	at := func(i int) *endpoint.Verdict { return &endpoints[indexes[i]] }
	sum := checksum(ports, len(indexes), func(i int) string { return at(i).Text })
	e.text = append(appendSum(append(e.text[:0], sliceStateStart...), sum), '"')
	e.collect(len(indexes), at, publishNotReady)
	writeEntries(e, "endpoints", e.hidden, appendHidden, len(indexes), at, func(v *endpoint.Verdict, key hiddenKey) bool {
		own, ok := hiddenOf(v, publishNotReady)
		return ok && own == key
	})
	writeEntries(e, "drains", e.drains, appendDrain, len(indexes), at, func(v *endpoint.Verdict, until time.Time) bool { return v.DrainUntil.Equal(until) })
	writeEntries(e, "names", e.names, appendOrigin, len(indexes), at, func(v *endpoint.Verdict, key Origin) bool {
		own, ok := originOf(v)
		return ok && own == key
	})
	e.text = append(e.text, '}')
	return e.text
}

// collect finds the entries that there are, in the order of the endpoints.
func (e *Encoder) collect(n int, at func(int) *endpoint.Verdict, publishNotReady bool) {
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
func writeEntries[K any](e *Encoder, list string, keys []K, appendKey func([]byte, K) []byte, n int, at func(int) *endpoint.Verdict, belongs func(*endpoint.Verdict, K) bool) {
	const room = 1 << 10 // for what ends the text, and a key: names have up to 253 bytes
	if len(keys) == 0 || len(e.text) > MaxLength-2*room {
		return
	}
	e.text = append(append(append(e.text, `,"`...), list...), `":[`...)
	for k, key := range keys {
		if len(e.text) > MaxLength-2*room {
			break
		}
		if k > 0 {
			e.text = append(e.text, ',')
		}
		e.text = append(appendKey(append(e.text, '{'), key), `"addresses":[`...)
		first := true
		for i := range n {
			v := at(i)
			if !belongs(v, key) || len(e.text)+len(v.Text) > MaxLength-room {
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
		word("role", DisabledWord)
		return to
	case endpoint.Standby:
		word("role", StandbyWord)
	}
	word("health", string(endpoint.HealthOf(key.state)))
	word("reason", key.reason)
	return to
}

func appendDrain(to []byte, until time.Time) []byte {
	to = until.UTC().AppendFormat(append(to, `"until":"`...), time.RFC3339)
	return append(to, `",`...)
}

func appendOrigin(to []byte, key Origin) []byte {
	text := func(name, value string) {
		quoted, err := json.Marshal(value)
		if err == nil { // as it always is for a string
			to = append(append(append(append(append(to, '"'), name...), `":`...), quoted...), ',')
		}
	}
	text("name", key.Name)
	if key.Target != "" {
		text("target", key.Target)
	}
	if key.Tier != 0 {
		to = append(strconv.AppendInt(append(to, `"tier":`...), int64(key.Tier), 10), ',')
	}
	return to
}

// originOf returns the DNS name that led to an endpoint; false if none did, or if the name itself
// is published.
func originOf(v *endpoint.Verdict) (Origin, bool) {
	from := v.Resolved
	if from == nil || !v.Address.IsValid() && from.Target == "" {
		return Origin{}, false
	}
	key := Origin{Name: from.Address, Target: from.Target}
	if from.Target != "" {
		key.Tier = v.Spec.Priority
	}
	return key, true
}
