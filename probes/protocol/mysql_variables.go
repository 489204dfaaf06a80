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
	"slices"
	"strconv"
	"strings"
	"time"

	"farpoint.dev/farpoint/probes"
)

// mysqlVariables are what a probe asks every server that lets it in. SHOW takes no rights,
// leaves out what a server does not have, and is answered even by a Galera node that answers
// nothing else.
var mysqlVariables = []string{
	"read_only",             // super_read_only implies it
	"innodb_read_only",      // tells the readers of an Aurora cluster
	"innodb_force_recovery", // InnoDB takes no writes while it is set high enough
	"tx_read_only",          // what transactions are by default, as MariaDB calls it
	"transaction_read_only", // the same in MySQL
	"offline_mode",
	"wsrep_on", // of Galera, as the next one
	"wsrep_reject_queries",
}

var askMySQLVariables = "SHOW VARIABLES WHERE Variable_name IN ('" + strings.Join(mysqlVariables, "', '") + "')"

// askGalera asks whether a node is part of its cluster. A server without Galera may say no,
// too.
const askGalera = "SHOW GLOBAL STATUS LIKE 'wsrep_ready'"

// checkAccepting has the server answer a ping and tell its variables, and returns an error if
// it would not serve others. Neither the login nor the ping shows that of a Galera node.
func (p *mysqlProber) checkAccepting(s *mysqlSession) (map[string]string, error) {
	if err := s.ping(); err != nil {
		return nil, mysqlFault(err, probes.ReasonServerError)
	}
	if p.login.user == "" {
		return nil, nil // somebody without a name or password has been let in, which proves no more
	}
	variables, err := s.settings(askMySQLVariables)
	if err != nil {
		return nil, p.variablesFault(err)
	}
	rejects := variables["wsrep_reject_queries"]
	if isOn(variables["offline_mode"]) || rejects != "" && rejects != "NONE" {
		return nil, fault(probes.ReasonNotAccepting)
	}
	if !isOn(variables["wsrep_on"]) {
		return variables, nil
	}
	status, err := s.settings(askGalera)
	if err != nil {
		return nil, mysqlFault(err, probes.ReasonServerError)
	}
	if ready, known := status["wsrep_ready"]; known && !isOn(ready) {
		return nil, fault(probes.ReasonNotAccepting)
	}
	return variables, nil
}

// variablesFault is what it means that a server does not tell its variables. If nothing was
// asked of it but to serve, it may be of a kind that has none, or the user's password may
// have expired: others are served.
func (p *mysqlProber) variablesFault(err error) error {
	var mysqlErr errMySQL
	if p.role != "" || p.maxLag != 0 || !errors.As(err, &mysqlErr) {
		return mysqlFault(err, probes.ReasonRoleUnknown)
	}
	if reason := mysqlReasons[mysqlErr.code]; reason == probes.ReasonNotAccepting || reason == probes.ReasonTooManyConnections {
		return fault(reason)
	}
	return nil
}

// settings are the names and values that a SHOW statement lists.
func (s *mysqlSession) settings(statement string) (map[string]string, error) {
	table, err := s.query(statement)
	if err != nil {
		return nil, err
	}
	if len(table.columns) != 2 && len(table.rows) > 0 {
		return nil, fault(probes.ReasonProtocol)
	}
	values := make(map[string]string, len(table.rows))
	for _, row := range table.rows {
		if row[0] != nil && row[1] != nil {
			values[strings.ToLower(*row[0])] = *row[1]
		}
	}
	return values, nil
}

// isOn reads a variable, which may be a number or a word. MariaDB has several words for
// degrees of being read-only. One that the server does not have is off.
func isOn(value string) bool { return value != "" && value != "0" && !strings.EqualFold(value, "OFF") }

// checkRole returns an error if the server is not what the role is for: a primary takes
// writes, and a replica is meant not to. A replica is a server with read_only: tools that switch
// roles set that variable, and reading it takes no rights.
func (p *mysqlProber) checkRole(variables map[string]string, handshake handshakePacket) error {
	if p.role == "" {
		return nil
	}
	if _, known := variables["read_only"]; !known {
		return fault(probes.ReasonRoleUnknown)
	}
	isReplica := isOn(variables["read_only"]) || isOn(variables["innodb_read_only"])
	switch {
	case isReplica != (p.role == RoleReplica):
		return errWrongRole
	case !isReplica && (isOn(variables["tx_read_only"]) || isOn(variables["transaction_read_only"]) || recovers(variables["innodb_force_recovery"], handshake)):
		return fault(probes.ReasonReadOnly)
	}
	return nil
}

// recovers reports whether innodb_force_recovery keeps InnoDB from taking writes. MySQL takes
// none as soon as it is set, MariaDB from 4 on.
func recovers(value string, handshake handshakePacket) bool {
	level, err := strconv.Atoi(value)
	if err != nil {
		return false // the server does not have it
	}
	if handshake.isMariaDB() {
		return level >= 4
	}
	return level > 0
}

// serverTime is the server's clock, since 1970.
func (s *mysqlSession) serverTime() (time.Duration, error) {
	table, err := s.query("SELECT UNIX_TIMESTAMP(NOW(6))")
	if err != nil {
		return 0, mysqlFault(err, probes.ReasonRoleUnknown)
	}
	if len(table.rows) != 1 || len(table.columns) != 1 || slices.Contains(table.rows[0], nil) {
		return 0, fault(probes.ReasonRoleUnknown)
	}
	return readSeconds([]byte(*table.rows[0][0]))
}
