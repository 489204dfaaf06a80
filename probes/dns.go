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

package probes

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsProber checks that a name server answers a question.
type dnsProber struct {
	dialer *Dialer
	to     destination
	// query is the whole message, but for its identifier.
	query []byte
	// tcp: UDP is not tried first.
	tcp bool
}

func (d *Dialer) newDNSProber(def Definition, u *url.URL) (Prober, error) {
	given, err := parametersOf(u, "type", "tcp")
	if err != nil {
		return nil, err
	}
	p := &dnsProber{dialer: d}
	if p.tcp, err = given.flag("tcp"); err != nil {
		return nil, err
	}
	if p.query, err = queryOf(u, given); err != nil {
		return nil, err
	}
	if def.UDPPort != 0 && (!p.tcp || def.Port == 0) {
		def.Port = def.UDPPort
	}
	p.to, err = d.destination(def.withDefaultPort(dnsPort), u)
	return p, err
}

// dnsPort is the port of name servers.
const dnsPort = 53

// maxDatagram is the longest answer that is asked for by UDP: it gets through without
// being fragmented (https://www.dnsflagday.net/2020).
const maxDatagram = 1232

// recordTypes are the types that can be asked for, by IANA's registry of DNS parameters.
// Those that stand for several records, or for a transfer of the zone, are none that a
// check should ask for.
var recordTypes = map[string]dnsmessage.Type{
	"A": 1, "AAAA": 28, "CAA": 257, "CNAME": 5, "HTTPS": 65, "MX": 15, "NAPTR": 35,
	"NS": 2, "PTR": 12, "SOA": 6, "SRV": 33, "SVCB": 64, "TXT": 16,
}

// queryOf makes the message that asks what a URL says. The type is A if it says none.
func queryOf(u *url.URL, given parameters) ([]byte, error) {
	name := strings.ToLower(strings.TrimPrefix(u.Path, "/"))
	switch {
	case name == "" || u.Fragment != "":
		return nil, errors.New("healthCheckURL must end in the name to ask for: write it behind the port, as in dns://host:53/www.example.com")
	case !isQueryName(name):
		return nil, errors.New("healthCheckURL has a path that is no DNS name: write one in ASCII (xn--...), as in dns://host:53/www.example.com")
	}
	kind, ok := given["type"]
	if !ok {
		kind = "A"
	}
	number, ok := recordTypes[strings.ToUpper(kind)]
	if !ok {
		return nil, fmt.Errorf("healthCheckURL has a type that cannot be asked for: write one of %s",
			strings.Join(slices.Sorted(maps.Keys(recordTypes)), ", "))
	}
	absolute, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return nil, err
	}
	var size dnsmessage.ResourceHeader
	if err := size.SetEDNS0(maxDatagram, dnsmessage.RCodeSuccess, false); err != nil {
		return nil, err
	}
	query := dnsmessage.Message{
		Header:      dnsmessage.Header{RecursionDesired: true},
		Questions:   []dnsmessage.Question{{Name: absolute, Type: number, Class: dnsmessage.ClassINET}},
		Additionals: []dnsmessage.Resource{{Header: size, Body: &dnsmessage.OPTResource{}}},
	}
	return query.Pack()
}

// isQueryName tells names, in small letters, that can be asked for: those of hosts, and
// besides the root, wildcards, and names that end in a number.
func isQueryName(name string) bool {
	if name == "." {
		return true
	}
	name = strings.TrimSuffix(name, ".")
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, hostNameBytes+"*") != "" {
			return false
		}
	}
	return len(name) <= 253
}

func (p *dnsProber) place() place { return p.to.place() }

func (p *dnsProber) scheme() string { return "dns" }

// Probe implements Prober.
func (p *dnsProber) Probe(ctx context.Context) Result {
	answer, err := p.ask(ctx)
	switch {
	case err != nil:
		return classify(ctx, err)
	case answer.code == dnsmessage.RCodeSuccess && answer.empty:
		return failure(ReasonDNSNoRecords)
	case answer.code == dnsmessage.RCodeSuccess:
		return success()
	}
	if reason, ok := dnsReasons[answer.code]; ok {
		return failure(reason)
	}
	return Result{Outcome: Failure, Reason: ReasonStatus, Code: uint16(answer.code)}
}

var dnsReasons = map[dnsmessage.RCode]Reason{
	dnsmessage.RCodeNameError:     ReasonDNSNameNotFound,
	dnsmessage.RCodeServerFailure: ReasonDNSServerFailure,
	dnsmessage.RCodeRefused:       ReasonDNSRefused,
}

// dnsAnswer is what a probe wants to know of an answer.
type dnsAnswer struct {
	code      dnsmessage.RCode
	truncated bool
	// empty: there is no record in it.
	empty bool
}

// ask asks by UDP, and by TCP if the answer does not fit.
func (p *dnsProber) ask(ctx context.Context) (dnsAnswer, error) {
	var a dnsAnswer
	// Two bytes of length go ahead by TCP.
	message := make([]byte, 2, 2+len(p.query))
	message = append(message, p.query...)
	binary.BigEndian.PutUint16(message, uint16(len(p.query)))
	binary.BigEndian.PutUint16(message[2:], uint16(rand.Uint32())) // one for both: they are the same question
	if !p.tcp {
		err := p.dialer.exchangeDatagrams(ctx, p.to, func(conn net.Conn) (err error) {
			a, err = askByUDP(conn, message[2:])
			return err
		})
		if err != nil || !a.truncated {
			return a, err
		}
	}
	err := p.dialer.converse(ctx, p.to, func(conn stream) (err error) {
		a, err = askByTCP(conn, message)
		return err
	})
	return a, err
}

// maxStrays is how many datagrams may come that are no answer. One that is may be behind
// them.
const maxStrays = 16

func askByUDP(conn net.Conn, query []byte) (dnsAnswer, error) {
	if _, err := conn.Write(query); err != nil {
		return dnsAnswer{}, err
	}
	buffer := answers.Get().(*[maxAnswerBytes]byte)
	defer answers.Put(buffer)
	for stray := range maxStrays {
		n, err := conn.Read(buffer[:])
		if err != nil && stray > 0 && isTimeout(err) {
			break // it has said something, and that was no answer
		}
		if err != nil {
			return dnsAnswer{}, err
		}
		if answer := buffer[:n]; isAnswerTo(query, answer) {
			return readAnswer(answer)
		}
	}
	return dnsAnswer{}, errNotDNS
}

func askByTCP(conn net.Conn, message []byte) (dnsAnswer, error) {
	if _, err := conn.Write(message); err != nil {
		return dnsAnswer{}, err
	}
	buffer := answers.Get().(*[maxAnswerBytes]byte)
	defer answers.Put(buffer)
	if _, err := io.ReadFull(conn, buffer[:2]); err != nil {
		return dnsAnswer{}, err
	}
	// The beginning says it all, but the rest must be there, too.
	length := int(binary.BigEndian.Uint16(buffer[:2]))
	beginning := buffer[:min(length, len(buffer))]
	if _, err := io.ReadFull(conn, beginning); err != nil {
		return dnsAnswer{}, err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(length-len(beginning))); err != nil {
		return dnsAnswer{}, err
	}
	if !isAnswerTo(message[2:], beginning) {
		return dnsAnswer{}, errNotDNS
	}
	return readAnswer(beginning)
}

// dnsHeaderBytes is the length of a message's header (RFC 1035, 4.1.1). The identifier is
// in its first two bytes, the mark of an answer in the third, the number of questions in
// the fifth and sixth.
const dnsHeaderBytes = 12

// isAnswerTo tells an answer to this query from everything else. An error may leave out
// the question.
func isAnswerTo(query, answer []byte) bool {
	if len(answer) < dnsHeaderBytes || !bytes.Equal(query[:2], answer[:2]) || answer[2]&0x80 == 0 {
		return false
	}
	if asked := binary.BigEndian.Uint16(answer[4:]); asked == 0 {
		return true
	}
	question := query[dnsHeaderBytes : len(query)-optBytes]
	end := dnsHeaderBytes + len(question)
	return len(answer) >= end && bytes.EqualFold(question, answer[dnsHeaderBytes:end])
}

// optBytes is the length of the record that asks for longer datagrams, at the end of a
// query (RFC 6891, 6.1.2).
const optBytes = 11

// readAnswer reads as much of an answer as matters, up to the first record's header.
func readAnswer(message []byte) (dnsAnswer, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil {
		return dnsAnswer{}, errNotDNS
	}
	a := dnsAnswer{code: header.RCode, truncated: header.Truncated}
	if err = parser.SkipAllQuestions(); err == nil {
		_, err = parser.AnswerHeader()
	}
	a.empty = err != nil
	if a.code != dnsmessage.RCodeSuccess || a.truncated || err == nil || errors.Is(err, dnsmessage.ErrSectionDone) {
		return a, nil
	}
	return dnsAnswer{}, errNotDNS
}

var errNotDNS = &stageError{reason: ReasonProtocol, error: errors.New("no DNS answer to the question")}
