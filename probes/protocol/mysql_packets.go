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
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"

	"farpoint.dev/farpoint/probes"
)

// The packets of MySQL and MariaDB:
// https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html and
// https://mariadb.com/kb/en/clientserver-protocol/

// First bytes of packets.
const (
	mysqlOK       = 0x00
	mysqlMoreData = 0x01 // of an authentication
	mysqlNull     = 0xfb // in place of a length
	mysqlEOF      = 0xfe // or a switch of the authentication
	mysqlError    = 0xff
)

// mysqlSession sends and receives packets on one connection.
type mysqlSession struct {
	conn net.Conn
	in   bounded
	// buffered reads from in.
	buffered *bufio.Reader
	// sequence is the number of the next packet of the present exchange.
	sequence byte
	// packet is the last one received.
	packet []byte
}

var mysqlSessions = sync.Pool{New: func() any {
	s := &mysqlSession{}
	s.buffered = bufio.NewReader(&s.in)
	return s
}}

func newMySQLSession(conn net.Conn) *mysqlSession {
	s := mysqlSessions.Get().(*mysqlSession)
	s.conn, s.sequence = conn, 0
	s.in = bounded{conn, maxDatabaseBytes}
	s.buffered.Reset(&s.in)
	return s
}

func (s *mysqlSession) release() {
	s.conn, s.in.from = nil, nil
	if cap(s.packet) > 4<<10 {
		s.packet = nil // an unusual one
	}
	mysqlSessions.Put(s)
}

// over continues the session in TLS. A server that has said something before it was asked to
// does not learn the contents.
func (s *mysqlSession) over(conn net.Conn) error {
	if s.buffered.Buffered() > 0 {
		return fault(probes.ReasonProtocol)
	}
	s.conn, s.in.from = conn, conn
	return nil
}

// errMySQL is an error that the server reports.
type errMySQL struct{ code uint16 }

func (errMySQL) Error() string { return "error of the server" }

// receive reads the next packet, which is valid until the one after. An error packet is
// an error.
func (s *mysqlSession) receive() (payload, error) {
	var head [4]byte
	if _, err := io.ReadFull(s.buffered, head[:]); err != nil {
		return payload{}, err
	}
	length := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	if length == 0 || length > maxDatabaseBytes {
		return payload{}, fault(probes.ReasonProtocol)
	}
	if cap(s.packet) < length {
		s.packet = make([]byte, max(length, 512))
	}
	s.packet = s.packet[:length]
	if _, err := io.ReadFull(s.buffered, s.packet); err != nil {
		return payload{}, err
	}
	if s.packet[0] == mysqlError && length >= 3 {
		// It may come out of turn: from a server that has given up waiting.
		return payload{}, errMySQL{binary.LittleEndian.Uint16(s.packet[1:])}
	}
	if head[3] != s.sequence {
		return payload{}, fault(probes.ReasonProtocol)
	}
	s.sequence++
	return payload{rest: s.packet}, nil
}

// send writes the next packet of the exchange.
func (s *mysqlSession) send(content ...byte) error {
	packet := make([]byte, 4, 4+len(content))
	binary.LittleEndian.PutUint32(packet, uint32(len(content)))
	packet[3] = s.sequence
	s.sequence++
	_, err := s.conn.Write(append(packet, content...))
	return err
}

// Commands.
const (
	mysqlQuit  = 0x01
	mysqlQuery = 0x03
	mysqlPing  = 0x0e
)

// command begins an exchange.
func (s *mysqlSession) command(kind byte, argument string) error {
	s.sequence = 0
	return s.send(append([]byte{kind}, argument...)...)
}

// ping asks the server whether it is there.
func (s *mysqlSession) ping() error {
	if err := s.command(mysqlPing, ""); err != nil {
		return err
	}
	answer, err := s.receive()
	if err == nil && answer.byte() != mysqlOK {
		err = fault(probes.ReasonProtocol)
	}
	return err
}

// mysqlTable is the answer to a query: the columns' names, and rows of as many values, nil
// for NULL.
type mysqlTable struct {
	columns []string
	rows    [][]*string
}

// Bounds of an answer; the status of a replica has some sixty columns, and a row for each
// of its sources.
const (
	maxMySQLColumns = 256
	maxMySQLRows    = 256
)

// query has the server answer a query.
func (s *mysqlSession) query(text string) (mysqlTable, error) {
	if err := s.command(mysqlQuery, text); err != nil {
		return mysqlTable{}, err
	}
	head, err := s.receive()
	if err != nil {
		return mysqlTable{}, err
	}
	count, null := head.length()
	if count == 0 && !null && !head.bad {
		return mysqlTable{}, nil // an OK: some that only speak the protocol say so to whatever they do not know
	}
	if head.bad || null || count > maxMySQLColumns {
		return mysqlTable{}, fault(probes.ReasonProtocol)
	}
	table := mysqlTable{columns: make([]string, count)}
	for i := range table.columns {
		if table.columns[i], err = s.column(); err != nil {
			return mysqlTable{}, err
		}
	}
	if end, err := s.receive(); err != nil {
		return mysqlTable{}, err
	} else if !end.isEOF() {
		return mysqlTable{}, fault(probes.ReasonProtocol)
	}
	for {
		row, err := s.receive()
		switch {
		case err != nil:
			return mysqlTable{}, err
		case row.isEOF():
			return table, nil
		case len(table.rows) == maxMySQLRows:
			return mysqlTable{}, fault(probes.ReasonProtocol)
		}
		values := row.texts(int(count))
		if row.bad {
			return mysqlTable{}, fault(probes.ReasonProtocol)
		}
		table.rows = append(table.rows, values)
	}
}

// column reads the definition of a column and returns its name.
func (s *mysqlSession) column() (string, error) {
	definition, err := s.receive()
	if err != nil {
		return "", err
	}
	const name = 4 // catalog, schema, table and the table's own name come first
	parts := definition.texts(name + 1)
	if definition.bad || parts[name] == nil {
		return "", fault(probes.ReasonProtocol)
	}
	return *parts[name], nil
}

// payload is what is left to be read of a packet. Reads beyond its end return zeros, and it is
// bad from then on.
type payload struct {
	rest []byte
	bad  bool
}

// bytes reads so many.
func (p *payload) bytes(n int) []byte {
	if n < 0 || n > len(p.rest) {
		p.bad, p.rest = true, nil
		return make([]byte, min(max(n, 0), 8))
	}
	read := p.rest[:n:n]
	p.rest = p.rest[n:]
	return read
}

func (p *payload) byte() byte { return p.bytes(1)[0] }

func (p *payload) uint16() uint16 { return binary.LittleEndian.Uint16(p.bytes(2)) }

// terminated reads up to a zero, or up to the end.
func (p *payload) terminated() string {
	for i, item := range p.rest {
		if item == 0 {
			read := string(p.rest[:i])
			p.rest = p.rest[i+1:]
			return read
		}
	}
	read := string(p.rest)
	p.rest = nil
	return read
}

// length reads a number that is encoded in one to nine bytes, or null.
func (p *payload) length() (n uint64, null bool) {
	switch first := p.byte(); first {
	case mysqlNull:
		return 0, true
	case 0xfc:
		return uint64(p.uint16()), false
	case 0xfd:
		low := p.uint16()
		return uint64(low) | uint64(p.byte())<<16, false
	case mysqlEOF:
		return binary.LittleEndian.Uint64(p.bytes(8)), false
	case mysqlError:
		p.bad = true
		return 0, false
	default:
		return uint64(first), false
	}
}

// texts reads so many strings, each with its length before it.
func (p *payload) texts(count int) []*string {
	read := make([]*string, count)
	for i := range read {
		if n, null := p.length(); !null {
			text := string(p.bytes(int(min(n, maxDatabaseBytes+1))))
			read[i] = &text
		}
		if p.bad {
			break
		}
	}
	return read
}

// isEOF tells the end of a list from a row with a very long first value.
func (p *payload) isEOF() bool { return len(p.rest) > 0 && len(p.rest) < 9 && p.rest[0] == mysqlEOF }

// mysqlFault is what an error says about the server, or otherwise if it is one that the
// server reports and nothing is known of.
func mysqlFault(err error, otherwise probes.Reason) error {
	var mysqlErr errMySQL
	if !errors.As(err, &mysqlErr) {
		return err
	}
	if reason, ok := mysqlReasons[mysqlErr.code]; ok {
		return fault(reason)
	}
	return fault(otherwise)
}

// mysqlReasons sorts the servers' error codes
// (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html,
// https://mariadb.com/kb/en/mariadb-error-code-reference/).
var mysqlReasons = map[uint16]probes.Reason{
	1040: probes.ReasonTooManyConnections,
	1203: probes.ReasonTooManyConnections, // of this user
	1226: probes.ReasonTooManyConnections, // of this user in an hour

	1044: probes.ReasonAuthentication, // to the database
	1045: probes.ReasonAuthentication,
	1129: probes.ReasonAuthentication, // host is blocked
	1130: probes.ReasonAuthentication, // host is not allowed
	1251: probes.ReasonAuthentication, // by this method
	1524: probes.ReasonAuthentication, // by this plugin
	1698: probes.ReasonAuthentication, // without a password
	1820: probes.ReasonAuthentication, // with this password, which has expired
	1862: probes.ReasonAuthentication,
	3118: probes.ReasonAuthentication, // account is locked
	4151: probes.ReasonAuthentication, // the same in MariaDB
	3159: probes.ReasonAuthentication, // without TLS

	1047: probes.ReasonNotAccepting, // a node that its cluster has not taken in
	1053: probes.ReasonNotAccepting, // shutting down
	3032: probes.ReasonNotAccepting, // offline_mode
}
