// Command memapi is a Kubernetes API server that keeps everything in memory and costs little, so
// that a bench can ask what an operator costs by itself (tests/bench/fleet runs it; nothing else).
//
// It serves discovery, get, list, watch, create, update, merge and JSON patches, server-side apply,
// the status subresource and deletion for the kinds in kinds.go and the CRDs that it is given. What
// decides there is Kubernetes' own code: field managers with its schemas, defaults, pruning,
// selectors, patches and the texts of errors. tests/contract/test_fleet.py asks it and a real API
// server the same.
//
// Left out, whoever asks: authentication and authorization (all is allowed), admission, validation,
// CEL, warnings, garbage collection, the expiry of Events, compression. Whatever else it does not
// serve as the real one does, it answers with 501 Not Implemented.
package main

import (
	"crypto/tls"
	"flag"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"

	"k8s.io/client-go/util/cert"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to listen, with a certificate of its own")
	crds := flag.String("crds", "", "a folder of CustomResourceDefinitions, one in each *.yaml")
	flag.Parse()
	// Memory is cheaper here than the time to look for what is free of it.
	debug.SetGCPercent(200)
	if err := run(*address, *crds); err != nil {
		log.Fatal(err)
	}
}

func run(address, crds string) error {
	server, err := newServer()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := server.addCustom(file); err != nil {
			return err
		}
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	chain, key, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		return err
	}
	return http.Serve(listener, server)
}
