// Command verify asks crypto/x509 about certification paths: a JSON list of cases in, a JSON list of verdicts out.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"time"
)

// A question is one certification path (end entity first) and what it is to be good for.
type question struct {
	Path    string    `json:"path"`
	Anchors string    `json:"anchors"`
	Purpose string    `json:"purpose"`
	Name    string    `json:"name"`
	At      time.Time `json:"at"`
}

// A verdict is what crypto/x509 said; Unread says why it could not be asked.
type verdict struct {
	Accepted bool   `json:"accepted"`
	Words    string `json:"words"`
	Unread   string `json:"unread"`
}

var purposes = map[string]x509.ExtKeyUsage{
	"server": x509.ExtKeyUsageServerAuth,
	"client": x509.ExtKeyUsageClientAuth,
}

// certificates reads every certificate of a PEM file, and refuses a file that has none.
func certificates(file string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no certificate", file)
	}
	return found, nil
}

// pool makes a set of certificates of a list.
func pool(certificates []*x509.Certificate) *x509.CertPool {
	set := x509.NewCertPool()
	for _, certificate := range certificates {
		set.AddCert(certificate)
	}
	return set
}

// judge answers one question.
func judge(q question) verdict {
	usage, known := purposes[q.Purpose]
	if !known {
		return verdict{Unread: fmt.Sprintf("unknown purpose %q", q.Purpose)}
	}
	path, err := certificates(q.Path)
	if err != nil {
		return verdict{Unread: err.Error()}
	}
	anchors, err := certificates(q.Anchors)
	if err != nil {
		return verdict{Unread: err.Error()}
	}
	_, err = path[0].Verify(x509.VerifyOptions{
		DNSName:       q.Name, // an IP address too; empty asks about no name
		Roots:         pool(anchors),
		Intermediates: pool(path[1:]),
		KeyUsages:     []x509.ExtKeyUsage{usage},
		CurrentTime:   q.At, // zero is now
	})
	if err != nil {
		return verdict{Words: err.Error()}
	}
	return verdict{Accepted: true, Words: "ok"}
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(2)
	}
	verdicts := make([]verdict, 0, len(questions))
	for _, q := range questions {
		verdicts = append(verdicts, judge(q))
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(2)
	}
}
