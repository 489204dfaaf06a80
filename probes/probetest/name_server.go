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

package probetest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Message is what a name server would send: records as in a zone file, those of the
// authority section behind "--".
func Message(t testing.TB, rcode int, change func(*dns.Msg), records ...string) []byte {
	t.Helper()
	msg := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, RecursionAvailable: true, Rcode: rcode}, Compress: true}
	section := &msg.Answer
	for _, text := range records {
		if text == "--" {
			section = &msg.Ns
			continue
		}
		record, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		*section = append(*section, record)
	}
	if change != nil {
		change(msg)
	}
	packed, err := msg.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// SOA is the record that goes with negative answers.
const SOA = "example. 900 IN SOA ns.example. me.example. 1 7200 900 1209600 30"

// NameServer answers each UDP query with what answer makes of it, datagram by datagram,
// and hands TCP connections, of the same port, to talk.
func NameServer(t testing.TB, answer func(query []byte) [][]byte, handler func(net.Conn)) netip.AddrPort {
	t.Helper()
	address := Serve(t, handler)
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	var answering sync.WaitGroup
	answering.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			for _, datagram := range answer(buffer[:n]) {
				_, _ = conn.WriteToUDPAddrPort(datagram, from)
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		answering.Wait()
	})
	return address
}

// ByTCP answers one query over a connection as over UDP.
func ByTCP(answer func([]byte) [][]byte) func(net.Conn) {
	return func(conn net.Conn) {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		for _, answer := range answer(query) {
			_, _ = conn.Write(binary.BigEndian.AppendUint16(nil, uint16(len(answer))))
			_, _ = conn.Write(answer)
		}
	}
}

// AnswersBy answers queries by zone, which knows the records of a name and a type in small
// letters, as in "db.example. A".
func AnswersBy(t testing.TB, zone func(question string) (rcode int, records []string), change ...func(*dns.Msg)) func([]byte) [][]byte {
	return func(query []byte) [][]byte {
		var msg dns.Msg
		if err := msg.Unpack(query); err != nil {
			return nil
		}
		question := msg.Question[0]
		rcode, records := zone(strings.ToLower(question.Name) + " " + dns.TypeToString[question.Qtype])
		return [][]byte{Message(t, rcode, func(m *dns.Msg) {
			m.Id, m.Question = msg.Id, msg.Question
			for _, change := range change {
				change(m)
			}
		}, records...)}
	}
}

// Holding is a zone.
func Holding(zone map[string][]string) func(string) (int, []string) {
	return func(question string) (int, []string) {
		if records, ok := zone[question]; ok {
			return dns.RcodeSuccess, records
		}
		return dns.RcodeNameError, []string{"--", SOA}
	}
}

// WithCode is a zone that answers everything by one code.
func WithCode(rcode int) func(string) (int, []string) {
	return func(string) (int, []string) { return rcode, nil }
}
