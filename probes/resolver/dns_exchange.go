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

// MaxDatagram is the maximum length of a reply by UDP that queries allow: such a reply is not
// fragmented (https://www.dnsflagday.net/2020).
const MaxDatagram = 1232

// NewQuestion returns the question for a name, which is absolute with or without a final dot.
func NewQuestion(name string, kind dnsmessage.Type) (dnsmessage.Question, error) {
	absolute, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	return dnsmessage.Question{Name: absolute, Type: kind, Class: dnsmessage.ClassINET}, err
}

// packQuery packs the question for a name.
func packQuery(name string, kind dnsmessage.Type) ([]byte, error) {
	question, err := NewQuestion(name, kind)
	if err != nil {
		return nil, err
	}
	return PackQuestion(question)
}

// PackQuestion packs a query to a recursive name server. Its identifier is not set.
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

// DNSMessage is a query with an identifier, after the two bytes of length that precede it by TCP. It
// serves for UDP and TCP.
type DNSMessage []byte

// NewDNSMessage gives a packed query an identifier and a length.
func NewDNSMessage(query []byte) DNSMessage {
	message := make(DNSMessage, 2, 2+len(query))
	message = append(message, query...)
	binary.BigEndian.PutUint16(message, uint16(len(query)))
	binary.BigEndian.PutUint16(message[2:], uint16(rand.Uint32()))
	return message
}

// query is the message without its length.
func (m DNSMessage) query() []byte { return m[2:] }

// MaxStrays bounds how many datagrams are skipped that do not answer the query.
const MaxStrays = 16

// AskByUDP sends a query and returns as much of the answer as the buffer holds. The caller sets the
// connection's deadline.
func AskByUDP(conn net.Conn, message DNSMessage, buffer []byte) ([]byte, error) {
	if _, err := conn.Write(message.query()); err != nil {
		return nil, err
	}
	for stray := range MaxStrays {
		n, err := conn.Read(buffer)
		if err != nil && stray > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			break // only datagrams that do not answer the query have come
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

// AskByTCP sends a query and returns the answer, in the buffer if it fits.
func AskByTCP(conn net.Conn, message DNSMessage, buffer []byte) ([]byte, error) {
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

// dnsHeaderBytes is the length of a message's header (RFC 1035, 4.1.1). The first two bytes are the
// identifier, the third has the bit of a response, the fifth and sixth are the number of questions.
const dnsHeaderBytes = 12

// IsAnswerTo reports whether a message answers a query. Only an error may leave out the question.
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
