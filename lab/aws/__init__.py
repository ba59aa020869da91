"""AWS for the lab: moto's state behind a gateway that fails, records, refuses and really acts."""
