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

package protocol

import (
	"errors"

	"golang.org/x/net/dns/dnsmessage"

	"farpoint.dev/farpoint/probes/resolver"
)

// dnsAnswer is what a probe needs to know of an answer.
type dnsAnswer struct {
	code      dnsmessage.RCode
	truncated bool
	// hasRecord: the answer holds the requested record.
	hasRecord bool
}

// readAnswer reads the answer to a question. A record of another type or of another name
// answers a different question: only a record of the requested type counts, and only if the
// name that was asked for owns it, or leads to its owner by CNAME records of the same answer.
func readAnswer(message []byte, question dnsmessage.Question) (dnsAnswer, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil {
		return dnsAnswer{}, resolver.ErrNotDNS
	}
	a := dnsAnswer{code: header.RCode, truncated: header.Truncated}
	if a.code != dnsmessage.RCodeSuccess {
		return a, nil
	}
	if err := parser.SkipAllQuestions(); err != nil && !a.truncated {
		return dnsAnswer{}, resolver.ErrNotDNS
	}
	a.hasRecord, err = findRecord(parser, question)
	if err != nil && !a.truncated {
		return dnsAnswer{}, resolver.ErrNotDNS
	}
	return a, nil
}

// findRecord reports whether the answer section that the parser has come to holds a record of
// the question's type, following CNAME records. Servers list these in the order in which they
// lead on, but need not, hence one pass more for each that leads to a record before it. The
// bound on records limits what a malicious server can make us compute. An error means that the
// section is malformed, and that no record was found ahead of the fault.
func findRecord(section dnsmessage.Parser, question dnsmessage.Question) (bool, error) {
	name, aliases := question.Name, 0
	for {
		moved := false
		parser := section
		for range resolver.MaxRecords {
			header, err := parser.AnswerHeader()
			if errors.Is(err, dnsmessage.ErrSectionDone) {
				break
			}
			if err != nil {
				return false, err
			}
			owned := header.Class == question.Class && equalNames(&header.Name, &name)
			switch {
			case owned && header.Type == question.Type:
				return true, nil
			case owned && header.Type == dnsmessage.TypeCNAME:
				alias, err := parser.CNAMEResource()
				if err != nil {
					return false, err
				}
				if aliases++; aliases > resolver.MaxAliases {
					return false, nil // in a circle, or too long for resolvers as well
				}
				name, moved = alias.CNAME, true
			default:
				if err := parser.SkipAnswer(); err != nil {
					return false, err
				}
			}
		}
		if !moved {
			return false, nil
		}
	}
}

// equalNames reports whether two names are the same (RFC 4343): ASCII letters match in either
// case, every other byte only itself.
func equalNames(a, b *dnsmessage.Name) bool {
	if a.Length != b.Length {
		return false
	}
	for i := range a.Length {
		if lowerASCII(a.Data[i]) != lowerASCII(b.Data[i]) {
			return false
		}
	}
	return true
}

func lowerASCII(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
