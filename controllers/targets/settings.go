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

package targets

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/scheduler"
	"farpoint.dev/farpoint/probes/transport"
)

// Defaults of the spec that depend on another field of it, so that the API server
// cannot fill them in.
const (
	defaultInterval     = 10 * time.Second
	defaultTimeout      = 2 * time.Second
	defaultFastInterval = time.Second
)

// Settings are what all probes of one ExternalService have in common.
type Settings struct {
	http     *protocol.HTTPSettings
	tls      *transport.TLSSettings
	tcp      *protocol.TCPSettings
	udp      *protocol.UDPSettings
	grpc     *protocol.GRPCSettings
	dns      *protocol.DNSSettings
	postgres *protocol.PostgresSettings
	mysql    *protocol.MySQLSettings
	redis    *protocol.RedisSettings
	proxy    transport.ProxyProtocol
	// login is for the probes that take credentials.
	login Login
	// sendUnverified: credentials are sent to servers that are not verified.
	sendUnverified bool
	// digest differs for settings that probe differently. When and how often they probe does not
	// count.
	digest [sha256.Size]byte
	// private: the probes make use of something that other namespaces may not know.
	private bool
}

// Schedule says when the endpoints of an ExternalService are probed, and what is made of the
// results. A schedule cannot have a fault.
type Schedule struct {
	Timing     scheduler.Timing
	thresholds health.Thresholds
	// initial is the state of a new endpoint.
	initial health.State
}

// ScheduleOf reads when and how often a spec has its endpoints probed.
func ScheduleOf(spec *farpointv1.ExternalServiceSpec) Schedule {
	check := &spec.HealthCheck
	schedule := Schedule{
		Timing:     TimingOf(spec),
		thresholds: health.Thresholds{Failure: threshold(check.FailureThreshold), Success: threshold(check.SuccessThreshold)},
	}
	if check.InitialState == farpointv1.InitiallyReady {
		schedule.initial = health.StateHealthy
	}
	return schedule
}

// NewSettings reads spec.healthCheck. The certificates and the login are what it refers
// to. The error tells the user what to change.
func NewSettings(spec *farpointv1.ExternalServiceSpec, trust Certificates, login Login) (Settings, error) {
	check := &spec.HealthCheck
	settings := Settings{login: login, sendUnverified: check.SendCredentialsToUnverifiedServers}
	var err error
	if settings.http, err = httpSettings(check.HTTP); err != nil {
		return Settings{}, err
	}
	settings.private = check.HTTP != nil && len(check.HTTP.Headers) > 0 || len(trust.Authorities) > 0 || trust.Client != nil ||
		login.Credentials != nil
	settings.tls = tlsSettings(check.TLS, trust)
	if settings.tcp, settings.udp, err = dialogues(check); err != nil {
		return Settings{}, err
	}
	settings.setProtocols(check)
	settings.digest, err = digestOf(check, trust)
	return settings, err
}

// threshold applies the bounds of the CRD, whatever version of it is installed.
func threshold(count int32) uint8 { return uint8(min(max(count, 1), 100)) }

// TimingOf reads the intervals and the timeout of a spec, with their defaults.
func TimingOf(spec *farpointv1.ExternalServiceSpec) scheduler.Timing {
	timing := scheduler.Timing{Interval: defaultInterval}
	if spec.HealthCheckInterval != nil {
		timing.Interval = spec.HealthCheckInterval.Duration
	}
	timing.Timeout = min(defaultTimeout, timing.Interval)
	if spec.HealthCheck.Timeout != nil {
		timing.Timeout = spec.HealthCheck.Timeout.Duration
	}
	timing.FastInterval = min(defaultFastInterval, timing.Interval)
	if spec.HealthCheck.FastInterval != nil {
		timing.FastInterval = spec.HealthCheck.FastInterval.Duration
	}
	return timing
}

func tlsSettings(check *farpointv1.TLSHealthCheck, trust Certificates) *transport.TLSSettings {
	if check == nil {
		return nil
	}
	return &transport.TLSSettings{
		ServerName:         check.ServerName,
		CABundle:           trust.Authorities,
		ClientCertificate:  trust.Client,
		InsecureSkipVerify: check.InsecureSkipVerify,
		MinValidity:        durationOf(check.MinValidity),
	}
}

// setProtocols sets what the API server has checked in full.
func (s *Settings) setProtocols(check *farpointv1.HealthCheck) {
	switch check.ProxyProtocol {
	case farpointv1.ProxyProtocolV1:
		s.proxy = transport.ProxyProtocolV1
	case farpointv1.ProxyProtocolV2:
		s.proxy = transport.ProxyProtocolV2
	}
	if grpc := check.GRPC; grpc != nil {
		s.grpc = &protocol.GRPCSettings{Service: grpc.Service, Authority: grpc.Authority, Watch: grpc.Watch}
	}
	if dns := check.DNS; dns != nil {
		s.dns = &protocol.DNSSettings{Type: string(dns.Type), TCP: dns.Transport == farpointv1.DNSOverTCP}
	}
	if postgres := check.Postgres; postgres != nil {
		s.postgres = &protocol.PostgresSettings{
			Role: protocol.Role(postgres.Role), MaxLag: durationOf(postgres.MaxLag), Query: postgres.Query, SSLMode: protocol.SSLMode(postgres.SSLMode),
		}
	}
	if mysql := check.MySQL; mysql != nil {
		s.mysql = &protocol.MySQLSettings{Role: protocol.Role(mysql.Role), MaxLag: durationOf(mysql.MaxLag), SSLMode: protocol.SSLMode(mysql.SSLMode)}
	}
	if redis := check.Redis; redis != nil {
		s.redis = &protocol.RedisSettings{Role: protocol.Role(redis.Role), MaxLag: durationOf(redis.MaxLag)}
	}
}

// dialogues are the settings of tcp and udp; nil for what the check does not have.
func dialogues(check *farpointv1.HealthCheck) (tcp *protocol.TCPSettings, udp *protocol.UDPSettings, err error) {
	if check.TCP != nil {
		steps, err := stepsOf("tcp", check.TCP.Steps)
		if err != nil {
			return nil, nil, err
		}
		tcp = &protocol.TCPSettings{Steps: steps, StartTLS: protocol.StartTLS(check.TCP.StartTLS)}
	}
	if check.UDP != nil {
		steps, err := stepsOf("udp", check.UDP.Steps)
		if err != nil {
			return nil, nil, err
		}
		udp = &protocol.UDPSettings{Steps: steps}
	}
	return tcp, udp, nil
}

func stepsOf(block string, list []farpointv1.ProbeStep) ([]protocol.Step, error) {
	var steps []protocol.Step
	for i := range list {
		step := protocol.Step{Send: []byte(list[i].Send), Expect: []byte(list[i].Expect)}
		for _, encoded := range []struct {
			text string
			into *[]byte
		}{{list[i].SendBase64, &step.Send}, {list[i].ExpectBase64, &step.Expect}} {
			if encoded.text == "" {
				continue
			}
			decoded, err := base64.StdEncoding.DecodeString(encoded.text)
			if err != nil {
				return nil, fmt.Errorf("healthCheck.%s.steps[%d] is not base64: encode the bytes with the tool base64", block, i)
			}
			*encoded.into = decoded
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// durationOf is 0 for a duration that is left out.
func durationOf(duration *metav1.Duration) time.Duration {
	if duration == nil {
		return 0
	}
	return duration.Duration
}

func httpSettings(check *farpointv1.HTTPHealthCheck) (*protocol.HTTPSettings, error) {
	if check == nil {
		return nil, nil
	}
	settings := &protocol.HTTPSettings{
		Method:          check.Method,
		Host:            check.Host,
		FollowRedirects: check.FollowRedirects,
		MaxBodyBytes:    int(check.MaxBodyBytes),
		HTTP2:           check.Version == farpointv1.HTTP2,
	}
	for _, header := range check.Headers {
		settings.Headers = append(settings.Headers, protocol.Header{Name: header.Name, Value: header.Value})
	}
	var err error
	if settings.ExpectedStatuses, err = statusRanges("expectedStatuses", check.ExpectedStatuses); err != nil {
		return nil, err
	}
	if settings.DrainStatuses, err = statusRanges("drainStatuses", check.DrainStatuses); err != nil {
		return nil, err
	}
	if settings.StandbyStatuses, err = statusRanges("standbyStatuses", check.StandbyStatuses); err != nil {
		return nil, err
	}
	if check.ExpectedBody != "" {
		if settings.ExpectedBody, err = protocol.CompileBody(check.ExpectedBody, settings.MaxBodyBytes); err != nil {
			return nil, err
		}
	}
	return settings, nil
}

func statusRanges(field string, texts []string) ([]protocol.StatusRange, error) {
	var read []protocol.StatusRange
	for _, text := range texts {
		statuses, ok := statusRange(text)
		if !ok {
			return nil, fmt.Errorf("healthCheck.http.%s: %q is neither a status nor a range of statuses: write one such as 204 or 200-399", field, text)
		}
		read = append(read, statuses)
	}
	return read, nil
}

// statusRange reads "204" and "200-399".
func statusRange(text string) (protocol.StatusRange, bool) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, errFrom := strconv.ParseUint(first, 10, 16)
	to, errTo := strconv.ParseUint(last, 10, 16)
	return protocol.StatusRange{First: uint16(from), Last: uint16(to)}, errFrom == nil && errTo == nil && from <= to
}

func digestOf(check *farpointv1.HealthCheck, trust Certificates) ([sha256.Size]byte, error) {
	probe := *check
	probe.Timeout, probe.FastInterval, probe.FailureThreshold, probe.SuccessThreshold, probe.InitialState = nil, nil, 0, 0, ""
	probe.CredentialsSecretRef = nil // its content counts, see IdentityOf
	parts := []any{probe, trust.Authorities}
	if trust.Client != nil {
		parts = append(parts, trust.Client.Certificate) // a new key has a new certificate
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("digest spec.healthCheck: %w", err)
	}
	return sha256.Sum256(text), nil
}
