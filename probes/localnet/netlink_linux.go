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

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// read queries the kernel by rtnetlink(7), which needs no privilege.
func read() (Snapshot, error) {
	snapshot := Snapshot{Carrier: map[int]bool{}, Failed: map[Gateway]bool{}}
	for _, query := range []struct {
		request, answer int
		note            func(*Snapshot, []byte)
	}{
		{unix.RTM_GETLINK, unix.RTM_NEWLINK, (*Snapshot).noteLink},
		{unix.RTM_GETROUTE, unix.RTM_NEWROUTE, (*Snapshot).noteRoute},
		{unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, (*Snapshot).noteNeighbour},
	} {
		answer, err := syscall.NetlinkRIB(query.request, unix.AF_UNSPEC)
		if err != nil {
			return Snapshot{}, fmt.Errorf("query rtnetlink for %d: %w", query.request, err)
		}
		messages, err := syscall.ParseNetlinkMessage(answer)
		if err != nil {
			return Snapshot{}, fmt.Errorf("parse the answer of rtnetlink: %w", os.NewSyscallError("netlink", err))
		}
		for _, message := range messages {
			if int(message.Header.Type) == query.answer {
				query.note(&snapshot, message.Data)
			}
		}
	}
	return snapshot, nil
}

// noteLink notes an ifinfomsg: family (1 byte), padding (1), type (2), index (4), flags (4),
// change mask (4).
func (s *Snapshot) noteLink(data []byte) {
	if len(data) < unix.SizeofIfInfomsg {
		return
	}
	index, flags := int(binary.NativeEndian.Uint32(data[4:])), binary.NativeEndian.Uint32(data[8:])
	const up = unix.IFF_UP | unix.IFF_LOWER_UP
	s.Carrier[index] = flags&up == up
}

// noteRoute notes an rtmsg: family, length of the destination and of the source, type of
// service, table, protocol, scope, type (1 byte each), flags (4).
func (s *Snapshot) noteRoute(data []byte) {
	if len(data) < unix.SizeofRtMsg {
		return
	}
	bits, table, kind := int(data[1]), data[4], data[7]
	if table != unix.RT_TABLE_MAIN || kind != unix.RTN_UNICAST {
		return
	}
	attributes := attributesOf(data[unix.SizeofRtMsg:])
	via, routed := addrOf(attributes[unix.RTA_GATEWAY])
	through := 0
	if value := attributes[unix.RTA_OIF]; len(value) == 4 {
		through = int(binary.NativeEndian.Uint32(value))
	}
	switch to, ok := addrOf(attributes[unix.RTA_DST]); {
	case routed && bits == 0:
		s.Gateways = append(s.Gateways, Gateway{via, through})
	case !routed && ok && bits > 0:
		s.OnLink = append(s.OnLink, Network{netip.PrefixFrom(to, bits), through})
	case bits == 0:
		s.addHops(attributes[unix.RTA_MULTIPATH])
	}
}

// addHops notes the next hops of a default route with several of them: rtnexthop, which is
// length (2 bytes), flags, hops (1 each), interface (4), and attributes.
func (s *Snapshot) addHops(data []byte) {
	for len(data) >= unix.SizeofRtNexthop {
		length := int(binary.NativeEndian.Uint16(data))
		if length < unix.SizeofRtNexthop || length > len(data) {
			return
		}
		if via, ok := addrOf(attributesOf(data[unix.SizeofRtNexthop:length])[unix.RTA_GATEWAY]); ok {
			s.Gateways = append(s.Gateways, Gateway{via, int(binary.NativeEndian.Uint32(data[4:]))})
		}
		data = data[min((length+3)&^3, len(data)):]
	}
}

// noteNeighbour notes an ndmsg: family (1 byte), padding (3), interface (4), state (2), flags
// and type (1 each). Only NUD_FAILED is proof: an entry is incomplete for a moment whenever
// it is made.
func (s *Snapshot) noteNeighbour(data []byte) {
	if len(data) < unix.SizeofNdMsg || binary.NativeEndian.Uint16(data[8:])&unix.NUD_FAILED == 0 {
		return
	}
	if addr, ok := addrOf(attributesOf(data[unix.SizeofNdMsg:])[unix.NDA_DST]); ok {
		s.Failed[Gateway{addr, int(binary.NativeEndian.Uint32(data[4:]))}] = true
	}
}

// attributesOf returns the attributes behind a header by their kinds.
func attributesOf(data []byte) map[uint16][]byte {
	byKind := map[uint16][]byte{}
	for kind, value := range attributes(data) {
		byKind[kind] = value
	}
	return byKind
}

func addrOf(value []byte) (netip.Addr, bool) { return netip.AddrFromSlice(value) }
