mock_provider "aws" {}

variables {
  name   = "chatbot"
  region = "us-east-1"
}

run "a_destroy_deletes_the_token_at_once" {
  assert {
    condition     = var.recovery_days == 0
    error_message = "The default is not 0."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    name          = "Chat Bot"
    recovery_days = 1
  }

  expect_failures = [var.name, var.recovery_days]
}
