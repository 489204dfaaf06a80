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

package localnet

import "net/netip"

// Snapshot is the kernel's view of our network at one time.
type Snapshot struct {
	// Carrier says of each network interface, by its index, whether it is up and has a
	// carrier.
	Carrier map[int]bool
	// Gateways are the next hops of the default routes.
	Gateways []Gateway
	// Failed are the gateways that do not answer ARP or neighbour discovery.
	Failed map[Gateway]bool
	// OnLink are the networks that are reached without a router.
	OnLink []Network
}

// Network is a directly connected one, and the index of its interface.
type Network struct {
	netip.Prefix
	Interface int
}

// Gateway is a next hop, and the index of the interface that it is reached by.
type Gateway struct {
	Addr      netip.Addr
	Interface int
}

// lost returns why a gateway cannot be reached, in a few words; empty if nothing says so.
func (s *Snapshot) lost(gateway Gateway, echoes *echoHistory) string {
	switch {
	case !s.Carrier[gateway.Interface]:
		return "its link has no carrier"
	case s.Failed[gateway]:
		return "it does not answer on its link"
	case echoes.stopped():
		return "it stopped answering echo requests"
	}
	return ""
}

// noCarrier reports whether there are interfaces that lead anywhere, and none of them has a
// carrier.
func (s *Snapshot) noCarrier() bool {
	for _, gateway := range s.Gateways {
		if s.Carrier[gateway.Interface] {
			return false
		}
	}
	for _, network := range s.OnLink {
		if s.Carrier[network.Interface] {
			return false
		}
	}
	return len(s.Gateways)+len(s.OnLink) > 0
}

// connects reports whether an address is directly connected.
func (s *Snapshot) connects(addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, network := range s.OnLink {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// echoHistory is how a gateway has answered echo requests.
type echoHistory struct {
	// answers counts answers in a row, up to minAnswers, and silence the requests since then
	// without an answer.
	answers, silence int
}

// A gateway that has answered minAnswers echo requests in a row is expected to go on. It counts as
// lost after minSilence requests without an answer. Many gateways answer none, or not all.
const minAnswers, minSilence = 5, 3

func (h *echoHistory) note(answered bool) {
	switch {
	case answered:
		if h.silence > 0 && h.silence < minSilence {
			h.answers = 0 // it skips some, so its silence proves nothing
		}
		h.answers, h.silence = min(h.answers+1, minAnswers), 0
	case h.answers < minAnswers:
		h.answers = 0
	default:
		h.silence++
	}
}

// stopped reports whether a gateway that used to answer has stopped.
func (h *echoHistory) stopped() bool { return h != nil && h.silence >= minSilence }
