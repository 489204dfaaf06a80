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

package references

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/apiserver"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/protocol"
)

const (
	// RetryInterval is the pause before a read that the API server has not answered is retried.
	RetryInterval = 2 * time.Second
	// Patience is how long an ExternalService that was never probed waits for the API server's
	// answer, before it is published without.
	Patience = 5 * time.Second
	// referenceTimeout bounds a read, so that it does not hold up other ExternalServices.
	referenceTimeout = 5 * time.Second
)

// Cadence says when references are read, and for how long what they held is used.
type Cadence struct {
	// Interval is how often the Secrets and ConfigMaps that a spec refers to are read. A rotated
	// Secret is in use after this time and one probe.
	Interval time.Duration
	// Grace is how long a credential or client key is used after it has been removed.
	Grace time.Duration
}

const (
	// DefaultInterval is short enough for rotations by hand.
	DefaultInterval = 20 * time.Second
	// DefaultGrace is long enough to create a Secret again that was deleted by mistake.
	DefaultGrace = 10 * time.Minute
)

// Reference names an object that a health check refers to, and what for.
type Reference struct {
	use       referenceUse
	configMap bool
	name, key string
}

type referenceUse uint8

const (
	authoritiesUse referenceUse = iota
	clientCertificateUse
	credentialsUse
)

// referencesOf are what a health check refers to.
func referencesOf(check *farpointv1.HealthCheck) []Reference {
	var all []Reference
	if tls := check.TLS; tls != nil {
		switch {
		case tls.CASecretRef != nil:
			all = append(all, Reference{use: authoritiesUse, name: tls.CASecretRef.Name, key: tls.CASecretRef.Key})
		case tls.CAConfigMapRef != nil:
			all = append(all, Reference{use: authoritiesUse, configMap: true, name: tls.CAConfigMapRef.Name, key: tls.CAConfigMapRef.Key})
		}
		if tls.ClientCertificateSecretRef != nil {
			all = append(all, Reference{use: clientCertificateUse, name: tls.ClientCertificateSecretRef.Name})
		}
	}
	if check.CredentialsSecretRef != nil {
		all = append(all, Reference{use: credentialsUse, name: check.CredentialsSecretRef.Name})
	}
	return all
}

// field is where the reference is in the spec.
func (r Reference) field() string {
	if r.use == credentialsUse {
		return "healthCheck.credentialsSecretRef"
	}
	return "healthCheck.tls"
}

// Referenced is what a reference leads to.
type Referenced struct {
	// One of these, depending on the use, is what was in the object when it was last sound; none
	// if it never was.
	authorities []byte
	client      *tls.Certificate
	credentials *protocol.Credentials
	// soundAt is when that was last confirmed, and readAt when a read was last tried.
	soundAt, readAt time.Time
	// err is what was wrong at the last read, since failingSince; nil if nothing was.
	err          error
	failingSince time.Time
}

// unanswered reports whether the last read failed without an answer about the object.
func (r *Referenced) unanswered() bool {
	return apiserver.IsUndecided(r.err) || apierrors.IsUnauthorized(r.err) || errors.Is(r.err, context.DeadlineExceeded)
}

// usableUntil returns until when probes may use what the object held: as long as the API server
// has not answered that it is gone, and then, if it was secret, for the grace time. The time is
// zero if there is no end, and usable is false if there is nothing to use.
func (r *Referenced) usableUntil(use referenceUse, grace time.Duration) (until time.Time, usable bool) {
	switch {
	case r.soundAt.IsZero():
		return time.Time{}, false
	case r.err == nil, r.unanswered(), use == authoritiesUse:
		return time.Time{}, true
	}
	return r.soundAt.Add(grace), true
}

// dueIn returns the time until the object must be read again.
func (r *Referenced) dueIn(now time.Time, interval time.Duration) time.Duration {
	if r.readAt.IsZero() {
		return 0
	}
	wait := interval
	if r.err != nil && r.unanswered() {
		wait = RetryInterval
	}
	return max(r.readAt.Add(wait).Sub(now), 0)
}

// fault says what is wrong with the object, and what probes use instead; "" if nothing is, or if
// the API server has not answered only for a moment.
func (r *Referenced) fault(of Reference, now time.Time, cadence Cadence) string {
	until, usable := r.usableUntil(of.use, cadence.Grace)
	switch {
	case r.err == nil, r.unanswered() && usable && now.Sub(r.failingSince) < cadence.Interval:
		return ""
	case !usable:
		return fmt.Sprintf("%s refers to %v", of.field(), r.err)
	case until.IsZero():
		return fmt.Sprintf("%s refers to %v; probes use its last contents", of.field(), r.err)
	case now.Before(until):
		return fmt.Sprintf("%s refers to %v; probes use its last contents until %s", of.field(), r.err, until.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("%s refers to %v; probes no longer use its last contents", of.field(), r.err)
}

// Set is what the references of one ExternalService lead to.
type Set map[Reference]*Referenced

// Read reads what a health check refers to, as far as it is due, or all of it.
func (s Set) Read(ctx context.Context, reader Reader, check *farpointv1.HealthCheck, now time.Time, cadence Cadence, all bool) {
	for _, reference := range referencesOf(check) {
		known := s[reference]
		if known == nil {
			known = &Referenced{}
			s[reference] = known
		}
		if all || known.dueIn(now, cadence.Interval) == 0 {
			known.note(reader.read(ctx, reference), now)
		}
	}
}

// Retain forgets what none of the health checks refers to.
func (s Set) Retain(checks []*farpointv1.HealthCheck) {
	used := map[Reference]bool{}
	for _, check := range checks {
		for _, reference := range referencesOf(check) {
			used[reference] = true
		}
	}
	maps.DeleteFunc(s, func(reference Reference, _ *Referenced) bool { return !used[reference] })
}

// note stores what was read. What has not changed keeps its pointer.
func (r *Referenced) note(latest Referenced, now time.Time) {
	r.readAt = now
	if latest.err != nil {
		if r.err == nil {
			r.failingSince = now
		}
		r.err = latest.err
		return
	}
	r.err, r.failingSince, r.soundAt = nil, time.Time{}, now
	r.authorities = latest.authorities
	if r.client == nil || latest.client == nil || !bytes.Equal(bytes.Join(r.client.Certificate, nil), bytes.Join(latest.client.Certificate, nil)) {
		r.client = latest.client
	}
	if r.credentials == nil || latest.credentials == nil || *r.credentials != *latest.credentials {
		r.credentials = latest.credentials
	}
}

// Inputs returns what a health check takes from the objects that it refers to.
func (s Set) Inputs(check *farpointv1.HealthCheck, now time.Time, cadence Cadence) (trust targets.Certificates, credentials targets.Login) {
	for _, reference := range referencesOf(check) {
		known := s[reference]
		until, usable := known.usableUntil(reference.use, cadence.Grace)
		usable = usable && (until.IsZero() || now.Before(until))
		fault := known.fault(reference, now, cadence)
		if reference.use == credentialsUse {
			if credentials.Fault = fault; usable {
				credentials.Credentials = known.credentials
			}
			continue
		}
		switch {
		case !usable:
			trust.Unavailable = true
		case reference.use == authoritiesUse:
			trust.Authorities = known.authorities
		default:
			trust.Client = known.client
		}
		if trust.Fault == "" {
			trust.Fault = fault
		}
	}
	return trust, credentials
}

// DueIn returns the time until something must be read again, or must not be used any more; 0 if
// there are no references.
func (s Set) DueIn(now time.Time, cadence Cadence) time.Duration {
	first := time.Duration(0)
	sooner := func(wait time.Duration) {
		if wait = max(wait, time.Millisecond); first == 0 || wait < first {
			first = wait
		}
	}
	for of, known := range s {
		sooner(known.dueIn(now, cadence.Interval))
		if until, _ := known.usableUntil(of.use, cadence.Grace); until.After(now) {
			sooner(until.Sub(now))
		}
	}
	return first
}

// UnansweredFor returns for how long the API server has not answered about an object that was
// never read; negative if there is none.
func (s Set) UnansweredFor(now time.Time) time.Duration {
	longest := time.Duration(-1)
	for _, known := range s {
		if known.soundAt.IsZero() && known.err != nil && known.unanswered() {
			longest = max(longest, now.Sub(known.failingSince))
		}
	}
	return longest
}

// read reads what one reference leads to.
func (r Reader) read(ctx context.Context, of Reference) (result Referenced) {
	ctx, cancel := context.WithTimeout(ctx, referenceTimeout)
	defer cancel()
	key := farpointv1.KeyReference{Name: of.name, Key: of.key}
	switch {
	case of.use == credentialsUse:
		result.credentials, result.err = r.credentials(ctx, of.name)
	case of.use == clientCertificateUse:
		result.client, result.err = r.keyPair(ctx, of.name)
	case of.configMap:
		result.authorities, result.err = r.authorities(ctx, &corev1.ConfigMap{}, key)
	default:
		result.authorities, result.err = r.authorities(ctx, &corev1.Secret{}, key)
	}
	return result
}
