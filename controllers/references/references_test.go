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
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/probes/protocol"
)

var (
	errUnanswered = apierrors.NewInternalError(errors.New("no key to decrypt Secrets by"))
	errGone       = apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, "login")
)

func TestReferences_RemovedSecret_IsUsedForTheGraceTime(t *testing.T) {
	const grace = time.Minute
	cadence := Cadence{Interval: DefaultInterval, Grace: grace}
	check := &farpointv1.HealthCheck{CredentialsSecretRef: &farpointv1.SecretReference{Name: "login"}}
	set := Set{}
	login := Reference{use: credentialsUse, name: "login"}
	set[login] = &Referenced{}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	credentials := &protocol.Credentials{Token: "x"}
	set[login].note(Referenced{credentials: credentials}, now)
	for _, test := range []struct {
		after   time.Duration
		err     error
		usable  bool
		isFault bool
	}{
		{0, nil, true, false},
		{time.Second, errUnanswered, true, false},
		{time.Hour, errUnanswered, true, true},
	} {
		if test.err != nil {
			set[login].note(Referenced{err: test.err}, now.Add(test.after))
		}
		_, got := set.Inputs(check, now.Add(test.after), cadence)
		if (got.Credentials != nil) != test.usable || (got.Fault != "") != test.isFault {
			t.Errorf("after %v: %+v", test.after, got)
		}
	}
	set[login].note(Referenced{credentials: &protocol.Credentials{Token: "x"}}, now)
	if set[login].credentials != credentials {
		t.Error("what has not changed is another pointer")
	}
	set[login].note(Referenced{err: errGone}, now.Add(time.Second))
	if _, got := set.Inputs(check, now.Add(grace-1), cadence); got.Credentials == nil || got.Fault == "" {
		t.Errorf("within the grace time: %+v", got)
	}
	if _, got := set.Inputs(check, now.Add(grace), cadence); got.Credentials != nil || got.Fault == "" {
		t.Errorf("after the grace time: %+v", got)
	}
	if wait := set.DueIn(now.Add(50*time.Second), cadence); wait <= 0 || wait > 10*time.Second {
		t.Errorf("due in %v, which is after the grace time", wait)
	}
}
