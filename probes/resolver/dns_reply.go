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
	"errors"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// LookupOutcome is the outcome of a lookup.
type LookupOutcome uint8

// Outcomes of a lookup.
const (
	// LookupPending: there has been no outcome yet.
	LookupPending LookupOutcome = iota
	// LookupFound: there are records.
	LookupFound
	// LookupEmpty: the name exists, but has no record of the type.
	LookupEmpty
	// LookupMissing: the name does not exist (NXDOMAIN).
	LookupMissing
	// LookupAliasLoop: the name is an alias of itself, or the end of a chain of aliases
	// that is too long.
	LookupAliasLoop
	// LookupServerFailure: the name servers report a failure (SERVFAIL and others).
	LookupServerFailure
	// LookupRefused: the name servers do not answer such questions, at least not to the operator.
	LookupRefused
	// LookupInvalid: the name servers' messages do not answer the question.
	LookupInvalid
	// LookupTimeout: the name servers do not answer, or cannot be reached.
	LookupTimeout
	// LookupForbidden: the rules of where probes may go do not let the name servers be asked.
	LookupForbidden

	lookupOutcomes
)

// String is the outcome as a metric's label has it.
func (o LookupOutcome) String() string {
	return [lookupOutcomes]string{
		"pending", "found", "empty", "not_found", "alias_loop", "server_failure", "refused", "invalid", "timeout", "forbidden",
	}[o]
}

// failed reports whether the lookup found out nothing about the name, so that a retry is worthwhile.
func (o LookupOutcome) failed() bool { return o >= LookupAliasLoop }

// dnsReply is the reply of the name servers to a question.
type dnsReply struct {
	outcome LookupOutcome
	records RecordSet
	// ttl is how long the reply is valid: the minimum of all records that led to it; 0 if there is
	// none.
	ttl time.Duration
	// alias is the name to look up next; empty if the reply is complete.
	alias string
}

const (
	// MaxAliases is the longest chain of aliases that is followed.
	MaxAliases = 16
	// MaxRecords is how many records of a reply count, the first ones after sorting.
	MaxRecords = 1000
)

// readReply reads a message that answers the question, and follows the aliases in it.
func readReply(message []byte, question Question) dnsReply {
	invalid := dnsReply{outcome: LookupInvalid}
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil || header.Truncated || parser.SkipAllQuestions() != nil {
		return invalid
	}
	switch header.RCode {
	case dnsmessage.RCodeSuccess, dnsmessage.RCodeNameError:
	case dnsmessage.RCodeRefused:
		return dnsReply{outcome: LookupRefused}
	default:
		return dnsReply{outcome: LookupServerFailure}
	}
	read, err := readRecords(&parser, question.Type)
	if err != nil {
		return invalid
	}
	negative, hasSOA := readNegativeTTL(&parser)
	end, ttl, ok := read.follow(question.Name)
	if !ok {
		return dnsReply{outcome: LookupAliasLoop}
	}
	entry := read.records[end]
	switch {
	case header.RCode == dnsmessage.RCodeNameError:
		return dnsReply{outcome: LookupMissing, ttl: min(ttl, negative)}
	case entry != nil && !entry.records.empty():
		entry.records.Sort()
		return dnsReply{outcome: LookupFound, records: entry.records, ttl: min(ttl, entry.ttl)}
	case entry != nil: // only SRV records without a usable target, such as "."
		return dnsReply{outcome: LookupEmpty, ttl: min(ttl, entry.ttl)}
	case end != question.Name && end != "" && !hasSOA:
		return dnsReply{alias: end, ttl: ttl}
	case !hasSOA && !header.Authoritative && !header.RecursionAvailable:
		return dnsReply{outcome: LookupRefused} // a referral, which only recursive name servers follow
	}
	return dnsReply{outcome: LookupEmpty, ttl: min(ttl, negative)}
}

// recordsRead are the records of a message's answer, by the names that have them.
type recordsRead struct {
	aliases map[string]alias
	records map[string]*ownedRecords
}

type alias struct {
	to  string
	ttl time.Duration
}

type ownedRecords struct {
	records RecordSet
	ttl     time.Duration
}

// readRecords reads the aliases and the records of one type.
func readRecords(parser *dnsmessage.Parser, kind RecordType) (recordsRead, error) {
	read := recordsRead{aliases: map[string]alias{}, records: map[string]*ownedRecords{}}
	for {
		header, err := parser.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return read, nil
		}
		if err != nil {
			return read, err
		}
		name, ttl := nameOf(header.Name), ttlOf(header.TTL)
		switch {
		case header.Class != dnsmessage.ClassINET:
			err = parser.SkipAnswer()
		case header.Type == dnsmessage.TypeCNAME:
			var cname dnsmessage.CNAMEResource
			if cname, err = parser.CNAMEResource(); err == nil {
				read.aliases[name] = alias{nameOf(cname.CNAME), ttl}
			}
		case RecordType(header.Type) == kind:
			owned := read.records[name]
			if owned == nil {
				owned = &ownedRecords{ttl: ttl}
				read.records[name] = owned
			}
			owned.ttl = min(owned.ttl, ttl)
			err = owned.records.add(parser, kind)
		default:
			err = parser.SkipAnswer()
		}
		if err != nil {
			return read, err
		}
	}
}

func (s *RecordSet) add(parser *dnsmessage.Parser, kind RecordType) error {
	switch kind {
	case RecordA:
		resource, err := parser.AResource()
		s.Addresses = append(s.Addresses, netip.AddrFrom4(resource.A))
		return err
	case RecordAAAA:
		resource, err := parser.AAAAResource()
		s.Addresses = append(s.Addresses, netip.AddrFrom16(resource.AAAA))
		return err
	}
	resource, err := parser.SRVResource()
	// "." means that there is no such service, and other names that are no host names cannot be
	// looked up.
	if target := nameOf(resource.Target); IsHostName(target) {
		s.Services = append(s.Services, ServiceRecord{Priority: resource.Priority, Weight: resource.Weight, Target: target, Port: resource.Port})
	}
	return err
}

// follow goes from alias to alias; false if that has no end.
func (r *recordsRead) follow(name string) (end string, ttl time.Duration, ok bool) {
	ttl = maxTTL
	for range MaxAliases {
		next, isAlias := r.aliases[name]
		if !isAlias {
			return name, ttl, true
		}
		name, ttl = next.to, min(ttl, next.ttl)
	}
	return "", 0, false
}

// readNegativeTTL returns how long a negative reply is valid, by the zone's SOA record (RFC 2308, 5),
// if there is one.
func readNegativeTTL(parser *dnsmessage.Parser) (ttl time.Duration, hasSOA bool) {
	for {
		header, err := parser.AuthorityHeader()
		if err != nil {
			return 0, false
		}
		if header.Type == dnsmessage.TypeSOA {
			soa, err := parser.SOAResource()
			if err != nil {
				return 0, false
			}
			return min(ttlOf(header.TTL), ttlOf(soa.MinTTL)), true
		}
		if parser.SkipAuthority() != nil {
			return 0, false
		}
	}
}

// nameOf is the canonical form of a name in a message.
func nameOf(name dnsmessage.Name) string {
	return strings.TrimSuffix(strings.ToLower(name.String()), ".")
}

const maxTTL = (1<<31 - 1) * time.Second

// ttlOf treats a number that is too large as 0 (RFC 2181, 8).
func ttlOf(seconds uint32) time.Duration {
	if seconds >= 1<<31 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
