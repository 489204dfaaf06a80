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

package resolver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"farpoint.dev/farpoint/probes/socket"
)

// nameServers are the name servers that the operator uses, or those of one object. The operator's
// may be in ranges that probes may not connect to, as those of a cluster are. The addresses that
// they return are checked before a probe connects and before an address is published.
type nameServers struct {
	// check returns an error for a server that may not be asked; nil if all may.
	check func(netip.Addr) error
	// file lists the servers as resolv.conf(5) does; "" if they are fixed.
	file string

	// mu guards what follows. Nothing waits for the network while holding it.
	mu      sync.Mutex
	servers []netip.AddrPort
	// read is the file as it was when it was read.
	read os.FileInfo
	// first is the server to ask first: the last one that answered.
	first netip.AddrPort
}

// resolvConf names the host's name servers, which in a Pod are those of its dnsPolicy.
const resolvConf = "/etc/resolv.conf"

// newNameServers returns the given name servers, or those of the file if there are none.
func newNameServers(file string, fixed []netip.AddrPort) *nameServers {
	if len(fixed) > 0 {
		file = ""
	}
	return &nameServers{file: file, servers: fixed}
}

// ownNameServers are those that one object asks for, each of which is checked before it is asked.
func ownNameServers(list string, check func(netip.Addr) error) *nameServers {
	if check == nil {
		check = func(netip.Addr) error { return nil }
	}
	return &nameServers{servers: splitServers(list), check: check}
}

// Each server is asked twice, before and after the others, since a datagram may get lost. The second
// time it has longer, since it may have to ask other servers.
var tries = [...]time.Duration{time.Second, 2 * time.Second}

// lookupLimit bounds a lookup as a whole, however many servers and aliases there are.
const lookupLimit = 10 * time.Second

// lookup looks up a name, and follows its aliases.
func (s *nameServers) lookup(ctx context.Context, question Question) dnsReply {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	ttl := maxTTL
	for range MaxAliases {
		reply := s.ask(ctx, question)
		if reply.alias == "" {
			reply.ttl = min(reply.ttl, ttl)
			return reply
		}
		question.Name, ttl = reply.alias, min(ttl, reply.ttl)
	}
	return dnsReply{outcome: LookupAliasLoop}
}

// ask asks one server after the other until one knows the answer. If none does, it returns the first
// reply of a server, in preference to a timeout.
func (s *nameServers) ask(ctx context.Context, question Question) dnsReply {
	query, err := packQuery(question.Name, dnsmessage.Type(question.Type))
	if err != nil {
		return dnsReply{outcome: LookupInvalid}
	}
	worst := dnsReply{outcome: LookupTimeout}
	servers := s.list()
	if len(servers) == 0 {
		return dnsReply{outcome: LookupForbidden}
	}
	for _, limit := range tries {
		for _, server := range servers {
			reply := s.askOne(ctx, server, query, question, limit)
			switch {
			case reply.alias != "" || !reply.outcome.failed():
				s.prefer(server)
				return reply
			case reply.outcome == LookupAliasLoop:
				return reply // the others would say the same
			case worst.outcome == LookupTimeout:
				worst = reply
			}
		}
	}
	return worst
}

// askOne asks by UDP, and by TCP if the answer does not fit.
func (s *nameServers) askOne(ctx context.Context, server netip.AddrPort, query []byte, question Question, limit time.Duration) dnsReply {
	if s.check != nil && s.check(server.Addr()) != nil {
		return dnsReply{outcome: LookupForbidden}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	message := NewDNSMessage(query)
	answer, err := exchange(ctx, "udp", server, message)
	if err == nil && isTruncated(answer) {
		answer, err = exchange(ctx, "tcp", server, message)
	}
	switch {
	case err == nil:
		return readReply(answer, question)
	case errors.Is(err, ErrNotDNS):
		return dnsReply{outcome: LookupInvalid}
	}
	return dnsReply{outcome: LookupTimeout}
}

// maxMessage is the length of the longest message that TCP carries.
const maxMessage = 64 << 10

func exchange(ctx context.Context, network string, server netip.AddrPort, message DNSMessage) ([]byte, error) {
	if network == "tcp" {
		conn, err := socket.OpenSocket(ctx, server)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		defer socket.EndWithContext(ctx, conn)()
		if err := conn.Connect(); err != nil {
			return nil, err
		}
		return AskByTCP(conn, message, make([]byte, maxMessage))
	}
	// Each question has its own socket: an attacker who forges answers has to guess its port as
	// well.
	conn, err := socket.OpenDatagrams(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer socket.EndWithContext(ctx, conn)()
	return AskByUDP(conn, message, make([]byte, 4<<10))
}

// isTruncated reads the bit TC of a message's header.
func isTruncated(message []byte) bool { return message[2]&0x02 != 0 }

// list returns the servers in the order in which to ask them.
func (s *nameServers) list() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != "" {
		s.follow()
	}
	ordered := slices.Clone(s.servers)
	if i := slices.Index(ordered, s.first); i > 0 {
		ordered = append(append(ordered[:0:0], ordered[i:]...), ordered[:i]...)
	}
	return ordered
}

// follow reads the file again if it has changed. If that fails, the last content counts.
func (s *nameServers) follow() {
	info, err := os.Stat(s.file)
	if err == nil && s.read != nil && os.SameFile(info, s.read) && info.ModTime().Equal(s.read.ModTime()) && info.Size() == s.read.Size() {
		return
	}
	if err == nil {
		var text []byte
		if text, err = os.ReadFile(s.file); err == nil {
			s.servers, s.read = parseResolvConf(text), info
		}
	}
	if len(s.servers) == 0 {
		// By resolv.conf(5), the default is a name server on this host.
		s.servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), DNSPort)}
	}
}

func (s *nameServers) prefer(server netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = server
}

// parseResolvConf returns the name servers in a file like resolv.conf(5). Search paths
// and options are of no use here.
func parseResolvConf(text []byte) []netip.AddrPort {
	var servers []netip.AddrPort
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(words[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(addr, DNSPort))
		}
	}
	return servers
}
