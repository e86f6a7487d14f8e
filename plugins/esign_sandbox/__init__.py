"""A signing service that lives on this machine: envelopes, signers, evidence, notices, and faults on demand."""
