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
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"farpoint.dev/farpoint/probes"
)

// DNSPort is the port of name servers.
const DNSPort = 53

// MaxDatagram is the longest answer that is asked for by UDP: it gets through without
// being fragmented (https://www.dnsflagday.net/2020).
const MaxDatagram = 1232

// NewQuestion is the question for a name, which is absolute, with or without a dot at its end.
func NewQuestion(name string, kind dnsmessage.Type) (dnsmessage.Question, error) {
	absolute, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	return dnsmessage.Question{Name: absolute, Type: kind, Class: dnsmessage.ClassINET}, err
}

// packQuery is packQuestion of a newQuestion.
func packQuery(name string, kind dnsmessage.Type) ([]byte, error) {
	question, err := NewQuestion(name, kind)
	if err != nil {
		return nil, err
	}
	return PackQuestion(question)
}

// PackQuestion makes the message with a question to a recursive name server, without its
// identifier.
func PackQuestion(question dnsmessage.Question) ([]byte, error) {
	var size dnsmessage.ResourceHeader
	if err := size.SetEDNS0(MaxDatagram, dnsmessage.RCodeSuccess, false); err != nil {
		return nil, err
	}
	query := dnsmessage.Message{
		Header:      dnsmessage.Header{RecursionDesired: true},
		Questions:   []dnsmessage.Question{question},
		Additionals: []dnsmessage.Resource{{Header: size, Body: &dnsmessage.OPTResource{}}},
	}
	return query.Pack()
}

// dnsMessage is a query with an identifier of its own, and with the two bytes of length
// that go ahead by TCP. It asks by UDP and by TCP: they are the same question.
type dnsMessage []byte

// NewDNSMessage gives a packed query an identifier and a length.
func NewDNSMessage(query []byte) dnsMessage {
	message := make(dnsMessage, 2, 2+len(query))
	message = append(message, query...)
	binary.BigEndian.PutUint16(message, uint16(len(query)))
	binary.BigEndian.PutUint16(message[2:], uint16(rand.Uint32()))
	return message
}

// query is the message without its length.
func (m dnsMessage) query() []byte { return m[2:] }

// MaxStrays is how many datagrams may come that are no answer. One that is may be behind
// them.
const MaxStrays = 16

// AskByUDP returns as much of the answer as the buffer holds. The connection's deadline
// bounds it.
func AskByUDP(conn net.Conn, message dnsMessage, buffer []byte) ([]byte, error) {
	if _, err := conn.Write(message.query()); err != nil {
		return nil, err
	}
	for stray := range MaxStrays {
		n, err := conn.Read(buffer)
		if err != nil && stray > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			break // it has said something, and that was no answer
		}
		if err != nil {
			return nil, err
		}
		if answer := buffer[:n]; IsAnswerTo(message.query(), answer) {
			return answer, nil
		}
	}
	return nil, ErrNotDNS
}

// AskByTCP returns the answer, in the buffer if it fits.
func AskByTCP(conn net.Conn, message dnsMessage, buffer []byte) ([]byte, error) {
	if _, err := conn.Write(message); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, buffer[:2]); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(buffer[:2]))
	if length > len(buffer) {
		buffer = make([]byte, length)
	}
	answer := buffer[:length]
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, err
	}
	if !IsAnswerTo(message.query(), answer) {
		return nil, ErrNotDNS
	}
	return answer, nil
}

// dnsHeaderBytes is the length of a message's header (RFC 1035, 4.1.1). The identifier is
// in its first two bytes, the mark of an answer in the third, the number of questions in
// the fifth and sixth.
const dnsHeaderBytes = 12

// IsAnswerTo tells an answer to this query from everything else. Only an error may leave
// out the question.
func IsAnswerTo(query, answer []byte) bool {
	if len(answer) < dnsHeaderBytes || !bytes.Equal(query[:2], answer[:2]) || answer[2]&0x80 == 0 {
		return false
	}
	if questions := binary.BigEndian.Uint16(answer[4:]); questions == 0 {
		return answer[3]&0xf != 0
	}
	question := query[dnsHeaderBytes : len(query)-optBytes]
	end := dnsHeaderBytes + len(question)
	return len(answer) >= end && bytes.EqualFold(question, answer[dnsHeaderBytes:end])
}

// optBytes is the length of the record that asks for longer datagrams, at the end of a
// query (RFC 6891, 6.1.2).
const optBytes = 11

// ErrNotDNS is the error of a reply that does not answer the question.
var ErrNotDNS = &probes.ReasonError{Reason: probes.ReasonProtocol, Err: errors.New("no DNS answer to the query")}
