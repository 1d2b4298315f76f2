package main

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
)

// Versions begin above "1", which no object may have: it is what a client names that wants none.
const firstVersion = 100

const reviews = "selfsubjectaccessreviews"

type server struct {
	kinds     map[string]*kind
	order     []*kind
	version   atomic.Int64
	addresses atomic.Int64
	pages     sync.Map
}

func newServer() (*server, error) {
	made := &server{kinds: map[string]*kind{}}
	made.version.Store(firstVersion)
	if err := made.addBuiltin(); err != nil {
		return nil, err
	}
	return made, made.begin("default")
}

// begin makes a namespace that is there from the beginning.
func (s *server) begin(namespace string) error {
	p := place{kind: s.kinds["v1/namespaces"], name: namespace}
	made, _, err := p.parsed([]byte(`{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"`+namespace+`"}}`), "memapi")
	if err != nil {
		return err
	}
	_, err = s.create(p, made)
	return err
}

func notServed(what string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusNotImplemented,
		Reason:  "NotImplemented",
		Message: "the API server in memory does not serve " + what,
	}}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.serve(w, r); err != nil {
		status := responsewriters.ErrorToAPIStatus(err)
		answer(w, int(status.Code), status)
	}
}

func answer(w http.ResponseWriter, code int, value interface{}) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// Whoever went away before the end needs no answer.
	_ = json.NewEncoder(w).Encode(value)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) error {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/readyz":
		_, err := io.WriteString(w, "ok")
		return err
	case parts[0] == "api" && len(parts) > 2:
		return s.serveResource(w, r, parts[1], parts[2:])
	case parts[0] == "apis" && len(parts) > 3:
		return s.serveResource(w, r, parts[1]+"/"+parts[2], parts[3:])
	case (parts[0] == "api" || parts[0] == "apis") && r.Method == http.MethodGet:
		return s.discover(w, parts)
	}
	return notServed(r.URL.Path)
}

func (s *server) serveResource(w http.ResponseWriter, r *http.Request, version string, parts []string) error {
	p := place{}
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" {
		p.namespace, parts = parts[1], parts[2:]
	}
	if version == authorizationv1.SchemeGroupVersion.String() && parts[0] == reviews {
		return allow(w, r)
	}
	p.kind = s.kinds[version+"/"+parts[0]]
	if len(parts) > 1 {
		p.name = parts[1]
	}
	if len(parts) > 2 {
		p.subresource = parts[2]
	}
	if p.kind == nil || len(parts) > 3 || (p.subresource != "" && p.managers[p.subresource] == nil) {
		return notServed(r.URL.Path)
	}
	// Without a namespace one reads those of all.
	everywhere := p.namespace == "" && p.name == "" && r.Method == http.MethodGet
	if p.Namespaced != (p.namespace != "") && !everywhere {
		return notServed(r.Method + " of " + r.URL.Path)
	}
	switch {
	case r.Method == http.MethodGet && p.name == "":
		return s.read(w, r, p)
	case r.Method == http.MethodGet:
		return s.get(w, r, p)
	case r.Method == http.MethodPost && p.name == "":
		return s.post(w, r, p)
	case r.Method == http.MethodPut && p.name != "":
		return s.replace(w, r, p)
	case r.Method == http.MethodPatch && p.name != "":
		return s.patch(w, r, p)
	case r.Method == http.MethodDelete && p.name != "" && p.subresource == "":
		return s.remove(w, r, p)
	}
	return notServed(r.Method + " of " + r.URL.Path)
}

// allow says yes to the question whether one may do something.
func allow(w http.ResponseWriter, r *http.Request) error {
	review := &authorizationv1.SelfSubjectAccessReview{}
	if r.Method != http.MethodPost {
		return notServed(r.Method + " of " + r.URL.Path)
	}
	if err := json.NewDecoder(r.Body).Decode(review); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	review.Status.Allowed = true
	answer(w, http.StatusCreated, review)
	return nil
}

// onlyQuery refuses parameters that the server would leave out of account.
func onlyQuery(r *http.Request, known ...string) error {
	for name := range r.URL.Query() {
		if !contains(known, name) {
			return notServed(fmt.Sprintf("%s of %s with %q", r.Method, r.URL.Path, name))
		}
	}
	return nil
}

func contains(all []string, one string) bool {
	for _, each := range all {
		if each == one {
			return true
		}
	}
	return false
}

// asked is the form that the client accepts.
func asked(r *http.Request, one string) (form, error) {
	header := r.Header.Get("Accept")
	for _, part := range strings.Split(header, ",") {
		kind, parameters, err := mime.ParseMediaType(part)
		switch {
		case header == "" || kind == "*/*" || (kind == "application/json" && parameters["as"] == ""):
			return whole, nil
		case err == nil && kind == "application/json" && parameters["as"] == one && parameters["v"] == "v1":
			return onlyMetadata, nil
		}
	}
	return whole, notServed("answers as " + header)
}

func (s *server) get(w http.ResponseWriter, r *http.Request, p place) error {
	as, err := asked(r, "PartialObjectMetadata")
	if err != nil {
		return err
	}
	if err := onlyQuery(r); err != nil {
		return err
	}
	p.Lock()
	found := p.objects[p.key()]
	p.Unlock()
	if found == nil {
		return apierrors.NewNotFound(p.group(), p.name)
	}
	send(w, http.StatusOK, found, as)
	return nil
}

// sent is the whole object in the body of a request.
func (s *server) sent(r *http.Request, p place) (edit, *unstructured.Unstructured, error) {
	if r.Header.Get("Content-Type") != "application/json" {
		return nil, nil, notServed("bodies but JSON")
	}
	body, err := s.writing(r, p, "fieldManager")
	if err != nil {
		return nil, nil, err
	}
	return p.parsed(body, manager(r))
}

func (s *server) post(w http.ResponseWriter, r *http.Request, p place) error {
	made, obj, err := s.sent(r, p)
	if err != nil {
		return err
	}
	if obj.GetName() == "" || obj.GetResourceVersion() != "" {
		return notServed("creating without a name or with a resourceVersion")
	}
	obj.SetUID("")
	p.name = obj.GetName()
	stored, err := s.create(p, made)
	if err != nil {
		return err
	}
	send(w, http.StatusCreated, stored, whole)
	return nil
}

func (s *server) replace(w http.ResponseWriter, r *http.Request, p place) error {
	made, obj, err := s.sent(r, p)
	if err != nil {
		return err
	}
	if obj.GetResourceVersion() == "" || p.begin != nil {
		return notServed("replacing this kind, or without a resourceVersion")
	}
	stored, _, err := s.update(p, false, made)
	if apierrors.IsNotFound(err) && !p.custom {
		return notServed("replacing what is not there, which creates some kinds")
	}
	if err != nil {
		return err
	}
	send(w, http.StatusOK, stored, whole)
	return nil
}

func (s *server) patch(w http.ResponseWriter, r *http.Request, p place) error {
	body, err := s.writing(r, p, "fieldManager", "force")
	if err != nil {
		return err
	}
	as := types.PatchType(r.Header.Get("Content-Type"))
	options := &metav1.PatchOptions{FieldManager: r.URL.Query().Get("fieldManager")}
	if text := r.URL.Query().Get("force"); text != "" {
		force := text == "true"
		options.Force = &force
	}
	if faults := validation.ValidatePatchOptions(options, as); len(faults) > 0 {
		group := schema.GroupKind{Group: metav1.GroupName, Kind: "PatchOptions"}
		return apierrors.NewInvalid(group, "", faults)
	}
	var made edit
	switch as {
	case types.ApplyYAMLPatchType:
		made, err = p.applied(body, options.FieldManager, options.Force != nil && *options.Force)
	case types.MergePatchType, types.JSONPatchType:
		made = p.patched(as, body, manager(r))
	default:
		err = notServed("patches of type " + string(as))
	}
	if err != nil {
		return err
	}
	stored, created, err := s.update(p, as == types.ApplyYAMLPatchType, made)
	if err != nil {
		return err
	}
	code := http.StatusOK
	if created {
		code = http.StatusCreated
	}
	send(w, code, stored, whole)
	return nil
}

func (s *server) remove(w http.ResponseWriter, r *http.Request, p place) error {
	body, err := s.writing(r, p)
	if err != nil {
		return err
	}
	if len(body) > 0 || !p.deletes {
		return notServed("deleting this kind, or with options")
	}
	gone, err := s.delete(p)
	if err != nil {
		return err
	}
	details := &metav1.StatusDetails{Name: p.name, Group: p.group().Group, Kind: p.Name, UID: gone.content.GetUID()}
	answer(w, http.StatusOK, &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusSuccess,
		Details:  details,
	})
	return nil
}

// writing reads the body of a request that may be served here.
func (s *server) writing(r *http.Request, p place, known ...string) ([]byte, error) {
	if err := onlyQuery(r, known...); err != nil {
		return nil, err
	}
	if as, err := asked(r, ""); err != nil || as != whole {
		return nil, notServed("answers as " + r.Header.Get("Accept"))
	}
	if p.namespace != "" {
		namespaces := place{kind: s.kinds["v1/namespaces"], name: p.namespace}
		namespaces.Lock()
		found := namespaces.objects[namespaces.key()]
		namespaces.Unlock()
		if found == nil {
			return nil, apierrors.NewNotFound(namespaces.group(), p.namespace)
		}
	}
	return io.ReadAll(r.Body)
}

// manager is who writes: as it says, or else the beginning of its User-Agent.
func manager(r *http.Request) string {
	if named := r.URL.Query().Get("fieldManager"); named != "" {
		return named
	}
	name, _, _ := strings.Cut(r.UserAgent(), "/")
	return name
}
