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
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/resolver"
	"farpoint.dev/farpoint/probes/transport"
)

// dnsProber checks that a name server has a record to answer a question with.
type dnsProber struct {
	dialer   *transport.Dialer
	to       transport.Destination
	question dnsmessage.Question
	// query is the whole message with the question, without its identifier.
	query []byte
	// tcp: UDP is not tried first.
	tcp bool
}

func newDNSProber(d *transport.Dialer, def Definition, u *url.URL) (probes.Prober, error) {
	settings := DNSSettings{}
	if def.DNS != nil {
		settings = *def.DNS
	}
	p := &dnsProber{dialer: d, tcp: settings.TCP}
	var err error
	if p.question, err = questionOf(u, settings.Type); err != nil {
		return nil, err
	}
	if p.query, err = resolver.PackQuestion(p.question); err != nil {
		return nil, err
	}
	if def.UDPPort != 0 && (!p.tcp || def.Port == 0) {
		def.Port = def.UDPPort
	}
	p.to, err = destinationFor(d, def.withDefaultPort(resolver.DNSPort), u)
	return p, err
}

// recordTypes are the types that can be asked for, by IANA's registry of DNS parameters.
// Those that stand for several records, or for a transfer of the zone, are none that a
// check should ask for.
var recordTypes = map[string]dnsmessage.Type{
	"A": 1, "AAAA": 28, "CAA": 257, "CNAME": 5, "HTTPS": 65, "MX": 15, "NAPTR": 35,
	"NS": 2, "PTR": 12, "SOA": 6, "SRV": 33, "SVCB": 64, "TXT": 16,
}

// questionOf is the question for the name in a URL and a type, which is A if it is left out.
func questionOf(u *url.URL, kind string) (dnsmessage.Question, error) {
	name := strings.ToLower(strings.TrimPrefix(u.Path, "/"))
	switch {
	case name == "" || u.Fragment != "":
		return dnsmessage.Question{}, errors.New("healthCheckURL must end in the name to query: write it after the port, as in dns://host:53/www.example.com")
	case !isQueryName(name):
		return dnsmessage.Question{}, errors.New("healthCheckURL has a path that is not a DNS name: write one in ASCII (xn--...), as in dns://host:53/www.example.com")
	}
	number, ok := recordTypes[cmp.Or(kind, "A")]
	if !ok {
		return dnsmessage.Question{}, fmt.Errorf("healthCheck.dns.type cannot be queried: write one of %s",
			strings.Join(slices.Sorted(maps.Keys(recordTypes)), ", "))
	}
	return resolver.NewQuestion(name, number)
}

// isQueryName tells names, in small letters, that can be asked for: those of hosts, and
// besides the root, wildcards, and names that end in a number.
func isQueryName(name string) bool {
	if name == "." {
		return true
	}
	name = strings.TrimSuffix(name, ".")
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, resolver.HostNameBytes+"*") != "" {
			return false
		}
	}
	return len(name) <= 253
}

func (p *dnsProber) Location() probes.Location { return p.to.Location() }

func (p *dnsProber) Scheme() string { return "dns" }

// Probe implements Prober.
func (p *dnsProber) Probe(ctx context.Context) probes.Result {
	answer, err := p.ask(ctx)
	switch {
	case err != nil:
		return transport.Classify(ctx, err)
	case answer.code == dnsmessage.RCodeSuccess && !answer.hasRecord:
		return probes.FailureResult(probes.ReasonDNSNoRecords)
	case answer.code == dnsmessage.RCodeSuccess:
		return probes.SuccessResult()
	}
	if reason, ok := dnsReasons[answer.code]; ok {
		return probes.FailureResult(reason)
	}
	return probes.Result{Outcome: probes.Failure, Reason: probes.ReasonStatus, Code: uint16(answer.code)}
}

var dnsReasons = map[dnsmessage.RCode]probes.Reason{
	dnsmessage.RCodeNameError:     probes.ReasonDNSNameNotFound,
	dnsmessage.RCodeServerFailure: probes.ReasonDNSServerFailure,
	dnsmessage.RCodeRefused:       probes.ReasonDNSRefused,
}

// ask asks by UDP, and by TCP if the answer does not fit.
func (p *dnsProber) ask(ctx context.Context) (dnsAnswer, error) {
	var a dnsAnswer
	message := resolver.NewDNSMessage(p.query)
	buffer := answers.Get().(*[maxAnswerBytes]byte)
	defer answers.Put(buffer)
	if !p.tcp {
		err := p.dialer.ExchangeDatagrams(ctx, p.to, func(conn net.Conn) error {
			answer, err := resolver.AskByUDP(conn, message, buffer[:])
			if err == nil {
				a, err = readAnswer(answer, p.question)
			}
			return err
		})
		if err != nil || !a.truncated {
			return a, err
		}
	}
	err := p.dialer.Converse(ctx, p.to, func(conn transport.Stream) error {
		answer, err := resolver.AskByTCP(conn, message, buffer[:])
		if err == nil {
			a, err = readAnswer(answer, p.question)
		}
		return err
	})
	return a, err
}
