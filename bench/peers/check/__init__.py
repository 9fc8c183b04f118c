"""The mock peers as a test of a CSO: named cases, each with the clause it holds."""
