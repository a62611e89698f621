"""AWS API answers that moto lacks or gets wrong, one module a service."""
